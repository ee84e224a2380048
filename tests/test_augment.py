"""Augmented images remain plausible films and depend on their seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.augment import augment
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return phantom.draw("Normal", seed=0, index=0)[0][..., np.newaxis]


@settings(max_examples=40, deadline=None)
@given(seed=st.tuples(st.integers(0, 2**31), st.integers(0, 100), st.integers(0, 30_000)))
def test_result_depends_on_the_seed_alone_and_keeps_shape_and_type(seed: tuple[int, ...]) -> None:
    pixels = np.arange(299 * 299, dtype=np.uint32).reshape(299, 299, 1).astype(np.uint8)
    before = pixels.copy()
    first, second = augment(pixels, seed=seed), augment(pixels, seed=seed)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(pixels, before)
    assert (first.shape, first.dtype) == (pixels.shape, np.uint8)


def test_epochs_and_images_differ(image: np.ndarray) -> None:
    results = {augment(image, seed=seed).tobytes() for seed in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}
    assert len(results) == 4


def test_never_mirrors_and_moves_little(image: np.ndarray) -> None:
    for seed in range(30):
        changed = augment(image, seed=(seed,)).astype(float).ravel()
        as_it_was = np.corrcoef(changed, image.astype(float).ravel())[0, 1]
        mirrored = np.corrcoef(changed, image[:, ::-1].astype(float).ravel())[0, 1]
        assert as_it_was > 0.4
        assert as_it_was > mirrored - 0.05


def test_black_moves_in_from_outside() -> None:
    bright = np.full((299, 299, 1), 200, dtype=np.uint8)
    corners = np.concatenate([augment(bright, seed=(seed,))[0, [0, -1], 0] for seed in range(30)])
    assert (corners == 0).any()
    assert (corners[corners > 0] > 150).all()


@pytest.mark.parametrize("label", LABELS)
def test_grey_levels_stay_in_range(label: str) -> None:
    drawn = phantom.draw(label, seed=1, index=0)[0][..., np.newaxis]
    changed = augment(drawn, seed=(5,))
    assert 20 < changed.mean() < 235
    assert changed.std() > 0.5 * drawn.std()
