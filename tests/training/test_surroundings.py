"""Surroundings of another film: the lungs stay, the rest is the other's, and the seed decides."""

import numpy as np
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.images.region import extent
from cxr_keras3.training import data
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.surroundings import Surroundings, surrounded
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

PAIRS = [phantom.draw(label, seed=2, index=index) for index in range(3) for label in LABELS]
FILMS = np.stack([film for film, _ in PAIRS])[..., np.newaxis]
LUNGS = np.stack([mask for _, mask in PAIRS]) > 127
CLASSES = np.tile(np.arange(4), 3)


def inner(mask: np.ndarray) -> np.ndarray:
    """The middle of the lungs, bool (299, 299), away from any edge."""
    from PIL import Image
    from scipy import ndimage

    whole = np.asarray(Image.fromarray(mask).resize((299, 299), Image.Resampling.NEAREST))
    return ndimage.binary_erosion(whole, iterations=8)


def test_the_lungs_stay_and_the_rest_is_the_other_s() -> None:
    found = surrounded(FILMS[0], LUNGS[0], FILMS[1], LUNGS[1])
    assert found.shape == (299, 299, 1)
    assert found.dtype == np.uint8
    inside = inner(LUNGS[0])
    assert np.corrcoef(found[inside, 0], FILMS[0][inside, 0])[0, 1] > 0.99
    same = surrounded(FILMS[0], LUNGS[0], FILMS[0], LUNGS[0])
    assert np.abs(same[inside].astype(int) - FILMS[0][inside]).max() <= 12  # itself, but for rounding and exposure
    bright = FILMS[1] // 2 + 120
    assert surrounded(FILMS[0], LUNGS[0], bright, LUNGS[1])[:20].mean() > found[:20].mean() + 40


def test_a_corner_comes_from_the_donor_and_no_lung_of_it() -> None:
    marked = FILMS[1].copy()
    marked[:60, :60] = 255
    found = surrounded(FILMS[0], LUNGS[0], marked, LUNGS[1])
    assert (found[5:25, 5:25] > 240).mean() > 0.7
    spotted = FILMS[1].copy()
    top, bottom, left, right = (round(299 / 256 * side) for side in extent(LUNGS[1]))
    middle = (top + bottom) // 2
    spotted[middle - 6 : middle + 6, left + 20 : left + 32] = 255
    with_spot = surrounded(FILMS[0], LUNGS[0], spotted, LUNGS[1]).astype(int)
    assert np.abs(with_spot - surrounded(FILMS[0], LUNGS[0], FILMS[1], LUNGS[1])).max() < 40
    assert right > left


def test_the_seed_decides_and_the_share_is_kept() -> None:
    given = Surroundings(FILMS, LUNGS, CLASSES, share=0.5)
    changed = 0
    for epoch in range(20):
        for index in range(len(FILMS)):
            found = given(index, seed=(1, epoch, index))
            np.testing.assert_array_equal(found, given(index, seed=(1, epoch, index)))
            changed += not np.array_equal(found, FILMS[index])
    assert changed / (20 * len(FILMS)) == pytest.approx(0.5, abs=0.1)


def test_films_without_lungs_stay_as_they_are() -> None:
    given = Surroundings(FILMS, np.zeros_like(LUNGS), CLASSES, share=1.0)
    np.testing.assert_array_equal(given(0, seed=(0, 0, 0)), FILMS[0])
    alone = Surroundings(FILMS, LUNGS, np.zeros_like(CLASSES), share=1.0)
    np.testing.assert_array_equal(alone(0, seed=(0, 0, 0)), FILMS[0])


def test_batches_hold_them() -> None:
    given = Surroundings(FILMS, LUNGS, CLASSES, share=1.0)
    drawn = data.batches(
        FILMS[np.newaxis], CLASSES, batch_size=12, seed=4, redraw=lambda index, seed: given(index, seed=seed)
    )
    inputs, _ = next(drawn)
    plain, _ = next(data.batches(FILMS[np.newaxis], CLASSES, batch_size=12, seed=4))
    assert all(not np.array_equal(one, other) for one, other in zip(inputs, plain, strict=True))


@pytest.mark.parametrize("settings", [{"fine_tune": "none"}, {"fine_tune": "last_stage", "cached_views": 4}])
def test_features_have_no_surroundings(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match="surroundings needs fine-tuning on images"):
        TrainingConfig(surroundings=0.5, **settings)
    assert TrainingConfig(surroundings=0.5, fine_tune="all").surroundings == 0.5


@pytest.mark.parametrize("region", ["lungs", "crop"])
def test_a_region_hides_surroundings(region: str) -> None:
    with pytest.raises(UserError, match=f"region {region} hides"):
        TrainingConfig(surroundings=0.5, fine_tune="all", region=region)
