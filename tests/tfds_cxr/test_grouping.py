"""Fingerprints: the same for one film however it was stored, different for different films."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from tfds_cxr import grouping
from tfds_cxr.grouping import NEAR_DUPLICATE_SIMILARITY

Pixels = npt.NDArray[np.uint8]


def film(seed: int) -> Pixels:
    """A stand-in for a film: random detail at several scales, 299x299."""
    generator = np.random.default_rng(seed)
    field = sum(sigma * gaussian_filter(generator.standard_normal((299, 299)), sigma) for sigma in (4, 8, 16, 32))
    low, high = field.min(), field.max()
    pixels: Pixels = ((field - low) / (high - low) * 255).astype(np.uint8)
    return pixels


def resized(pixels: Pixels, size: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))


def jpeg(pixels: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


ALTERATIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "to 256 and back": lambda pixels: resized(resized(pixels, 256), 299),
    "to 1024": lambda pixels: resized(pixels, 1024),
    "jpeg": jpeg,
    "brighter": lambda pixels: np.clip(pixels.astype(int) + 20, 0, 255).astype(np.uint8),
    "less contrast": lambda pixels: (pixels * 0.6 + 40).astype(np.uint8),
    "gamma": lambda pixels: ((pixels / 255) ** 1.5 * 255).astype(np.uint8),
    "equalised": lambda pixels: np.asarray(ImageOps.equalize(Image.fromarray(pixels))),
}


@pytest.mark.parametrize("name", ALTERATIONS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_altered_film_is_a_near_duplicate(name: str, seed: int) -> None:
    original = film(seed)
    altered = ALTERATIONS[name](original)
    similarity = grouping.fingerprint(original) @ grouping.fingerprint(altered)
    assert similarity >= NEAR_DUPLICATE_SIMILARITY


def test_different_films_are_not_near_duplicates() -> None:
    prints = np.stack([grouping.fingerprint(film(seed)) for seed in range(40)])
    assert len(grouping.near_duplicates(prints)) == 0


def test_a_mirrored_film_is_another_film() -> None:
    pixels = film(3)
    similarity = grouping.fingerprint(pixels) @ grouping.fingerprint(np.ascontiguousarray(pixels[:, ::-1]))
    assert similarity < NEAR_DUPLICATE_SIMILARITY


def test_fingerprint_is_a_unit_vector_of_fixed_size() -> None:
    vector = grouping.fingerprint(film(0)[:200, :123])
    assert vector.shape == (grouping.FREQUENCIES**2,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_blank_images_resemble_nothing() -> None:
    prints = np.stack([grouping.fingerprint(np.full((299, 299), level, np.uint8)) for level in (0, 7, 255)])
    assert not prints.any()
    assert len(grouping.near_duplicates(prints)) == 0


@pytest.mark.parametrize("pixels", [np.zeros((299, 299, 1), np.uint8), np.zeros((299, 299))])
def test_fingerprint_refuses_other_arrays(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="uint8"):
        grouping.fingerprint(pixels)


@pytest.mark.parametrize("block", [1, 3, 50, 1000])
def test_blocks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    prints = np.random.default_rng(5).standard_normal((120, 3)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    similarity = prints.astype(float) @ prints.T.astype(float)
    expected = np.argwhere(np.triu(similarity >= 0.9, 1))
    monkeypatch.setattr(grouping, "_BLOCK", block)
    np.testing.assert_array_equal(grouping.near_duplicates(prints, threshold=0.9), expected)


@given(st.lists(st.sampled_from("abcd")))
def test_items_with_equal_keys_are_connected_and_no_others(keys: list[str]) -> None:
    component = grouping.connect(len(keys), grouping.pairs_with_equal_keys(keys))
    for i, first in enumerate(keys):
        for j, second in enumerate(keys):
            assert (component[i] == component[j]) == (first == second)


def test_connection_is_transitive() -> None:
    component = grouping.connect(6, np.array([[0, 4], [4, 2], [1, 5]]))
    assert component[0] == component[2] == component[4]
    assert component[1] == component[5]
    assert len(set(component.tolist())) == 3
