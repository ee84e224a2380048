"""Sharpness put from one film into another: detail follows the donor, everything coarse stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cxr_keras3.evaluation.audit.sharpness import degraded, swap_sharpness
from tfds_cxr import phantom


def film(index: int, blur: float = 0.0) -> np.ndarray:
    pixels = phantom.draw("Normal", seed=3, index=index)[0].astype(np.float32)
    return np.round(gaussian_filter(pixels, blur) if blur else pixels).astype(np.uint8)[None, ..., None]


def detail(images: np.ndarray) -> float:
    """Mean change from pixel to pixel, inside the frame."""
    return float(np.abs(np.diff(images[0, 70:-70, 70:-70, 0].astype(float), axis=1)).mean())


def test_a_sharp_film_becomes_as_soft_as_its_donor_and_back() -> None:
    sharp, soft = film(0), film(1, blur=2.5)
    softened, sharpened = swap_sharpness(sharp, soft), swap_sharpness(soft, sharp)
    assert detail(softened) < 0.7 * detail(sharp)
    assert detail(sharpened) > 1.3 * detail(soft)
    for changed, own in ((softened, sharp), (sharpened, soft)):
        coarse = [gaussian_filter(each[0, ..., 0].astype(float), 12) for each in (changed, own)]
        assert np.abs(coarse[0] - coarse[1]).mean() < 2.0  # grey levels


def test_its_own_sharpness_changes_nothing() -> None:
    np.testing.assert_allclose(swap_sharpness(film(0), film(0)).astype(int), film(0), atol=1)


@given(st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=10, deadline=None)
def test_films_of_one_grey_are_borne(one: int, other: int) -> None:
    flat, donor = (np.full((1, 299, 299, 1), grey, np.uint8) for grey in (one, other))
    np.testing.assert_array_equal(swap_sharpness(flat, donor), flat)
    assert swap_sharpness(film(0), donor).dtype == np.uint8


def test_degraded_films_are_the_same_pictures_with_less_detail() -> None:
    before, after = film(0), degraded(film(0))
    assert after.shape == before.shape
    assert after.dtype == np.uint8
    assert detail(after) < detail(before)
    assert np.abs(before.astype(float) - after).mean() == pytest.approx(0, abs=4)
