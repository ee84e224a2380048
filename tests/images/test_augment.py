"""Augmented images remain plausible films and depend on their seed alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.images import augment as augmentation
from cxr_keras3.images.augment import Change, as_row, augment, draw
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


def test_frame_and_corners_are_erased_in_about_half_of_the_images() -> None:
    changes = [draw(np.random.default_rng(seed)) for seed in range(2000)]
    assert np.mean([change.border > 0 for change in changes]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([change.corner_width > 0 for change in changes]) == pytest.approx(0.5, abs=0.05)
    assert {change.corner for change in changes} == {0, 1, 2, 3}
    bright = np.full((299, 299, 1), 200, dtype=np.uint8)
    unlike = [(np.abs(augment(bright, seed=(seed,)).astype(int) - 200) > 80)[..., 0] for seed in range(60)]
    often = np.mean(unlike, axis=0)
    assert often[[2, 2, -3, -3], [2, -3, 2, -3]].min() > 0.25  # what stands in a corner is often gone
    assert often[90:210, 90:210].max() == 0  # what stands in the middle never is


NOTHING = Change(
    angle=0, zoom=1, right=0, down=0, contrast=1, brightness=0, gamma=1, noise=0,
    border=0, corner_width=0, corner_height=0, corner=0, fill=0,
)  # fmt: skip


def test_no_change_changes_nothing(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "draw", lambda _: NOTHING)
    np.testing.assert_array_equal(augment(image, seed=(0,)), image)


def test_the_device_makes_of_a_change_what_the_host_does(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_keras3.model.augment_on_device import Augmentation

    generator = np.random.default_rng(0)
    changes = [dataclasses.replace(draw(generator), noise=0.0) for _ in range(16)]
    batch = np.repeat(image[None], len(changes), axis=0)
    found = np.asarray(Augmentation(seed=0)([batch, np.stack([as_row(change) for change in changes])]))
    assert found.dtype == np.uint8
    for change, mine in zip(changes, found, strict=True):
        monkeypatch.setattr(augmentation, "draw", lambda _, change=change: change)
        difference = np.abs(mine.astype(int) - augment(image, seed=(0,)))
        assert np.median(difference) <= 1
        assert (difference > 3).mean() < 0.02, change  # along edges, where the two round to another pixel


def test_noise_on_the_device_is_as_strong_as_it_says() -> None:
    from cxr_keras3.model.augment_on_device import Augmentation

    grey = np.full((2, 299, 299, 1), 128, dtype=np.uint8)
    rows = np.stack([as_row(dataclasses.replace(NOTHING, noise=noise)) for noise in (0.0, 5.0)])
    silent, noisy = np.asarray(Augmentation(seed=0)([grey, rows])).astype(float)
    assert silent.std() == 0
    assert noisy.std() == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("label", LABELS)
def test_grey_levels_stay_in_range(label: str) -> None:
    drawn = phantom.draw(label, seed=1, index=0)[0][..., np.newaxis]
    changed = augment(drawn, seed=(5,))
    assert 20 < changed.mean() < 235
    assert changed.std() > 0.5 * drawn.std()
