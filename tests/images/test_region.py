"""What is left of an image where a model is shown the lungs alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3 import images
from cxr_keras3.images.region import restrict

IMAGE = np.random.default_rng(0).integers(1, 256, (299, 299, 1), dtype=np.uint8)


@st.composite
def masks(draw) -> np.ndarray:
    """A rectangle of lung somewhere, large enough for a row more or less not to matter."""
    top, left = draw(st.integers(0, 220)), draw(st.integers(0, 220))
    mask = np.zeros((256, 256, 1), dtype=np.uint8)
    mask[top : draw(st.integers(top + 36, 256)), left : draw(st.integers(left + 36, 256))] = 255
    return mask


@settings(max_examples=50, deadline=None)
@given(masks())
def test_lungs_leaves_lungs_as_they_are_and_nothing_else(mask: np.ndarray) -> None:
    found = restrict(IMAGE, mask, "lungs")
    nearest = (np.arange(299) * 2 + 1) * 256 // (2 * 299)
    inside = mask[nearest][:, nearest] > 0
    assert (found.shape, found.dtype) == (IMAGE.shape, np.uint8)
    shared = (found == IMAGE) & inside
    assert (found[~inside] == 0).mean() > 0.98  # the edge of the enlarged mask may round either way
    assert shared[inside].mean() > 0.9
    assert set(np.unique(found[found != IMAGE])) <= {0}


@settings(max_examples=50, deadline=None)
@given(masks())
def test_crop_shows_the_box_with_a_margin_at_the_image_s_size(mask: np.ndarray) -> None:
    rows = np.arange(299, dtype=np.float64)[:, None, None] * np.ones((299, 299, 1)) / 299 * 255
    found = restrict(rows.astype(np.uint8), mask, "crop")
    assert (found.shape, found.dtype) == (IMAGE.shape, np.uint8)
    inside = np.flatnonzero(mask.any(axis=(1, 2))) / 256 * 255
    assert float(found[2, 150, 0]) == pytest.approx(max(inside.min() - 0.05 * 255, 0), abs=6)
    assert float(found[-3, 150, 0]) == pytest.approx(min(inside.max() + 0.05 * 255, 254), abs=6)


def test_full_is_the_image() -> None:
    assert restrict(IMAGE, np.zeros((256, 256, 1), dtype=np.uint8), "full") is IMAGE
    assert images.IMAGE_SIZE == 299
