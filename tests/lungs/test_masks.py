"""Masks of lungs: how they are divided, measured, cleaned and painted over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs import anatomy, painting, pictures
from cxr_keras3.lungs.evidence import share_inside
from cxr_keras3.lungs.measures import dice, surface_distance
from cxr_keras3.lungs.segmenter import cleaned
from cxr_keras3.lungs.sides import divided, joined

MASKS = arrays.arrays(np.bool_, (12, 9))


def chest(
    *, right: tuple[int, int, int, int] = (60, 190, 40, 110), left: tuple[int, int, int, int] = (60, 190, 150, 220)
):
    """Two boxes as lungs, bool (256, 256, 2): top, bottom, first and last column of each."""
    lungs = np.zeros((256, 256, 2), dtype=bool)
    for side, (top, bottom, first, last) in enumerate((right, left)):
        lungs[top:bottom, first:last, side] = True
    return lungs


def film(spread: float = 60.0) -> np.ndarray:
    grey = np.random.default_rng(0).normal(128, spread, (299, 299, 1))
    return np.clip(grey, 0, 255).astype(np.uint8)


@given(MASKS, MASKS)
def test_dice_is_symmetric_and_one_only_for_equals(one: np.ndarray, other: np.ndarray) -> None:
    found = dice(one, other)
    assert 0.0 <= found <= 1.0
    assert found == dice(other, one)
    assert (found == 1.0) == bool((one == other).all())


@given(MASKS)
def test_an_outline_lies_on_itself(mask: np.ndarray) -> None:
    distance = surface_distance(mask, mask)
    assert distance == 0.0 or (np.isnan(distance) and not mask.any())


def test_a_shifted_line_is_as_far_away_as_it_was_shifted() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[40] = True
    assert surface_distance(mask, np.roll(mask, 7, axis=0)) == pytest.approx(0.07)


def test_a_mask_of_two_lungs_is_divided_by_place() -> None:
    lungs = chest()
    np.testing.assert_array_equal(divided(joined(lungs)), lungs)


def test_lungs_that_touch_are_cut_where_they_are_narrowest() -> None:
    lungs = chest()
    mask = joined(lungs)
    mask[120:124, 110:150] = True
    found = divided(mask)
    assert not (found[..., 0] & found[..., 1]).any()
    np.testing.assert_array_equal(joined(found), mask)
    for side in range(2):
        assert dice(found[..., side], lungs[..., side]) > 0.97


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(UserError, match="must hold a lung"):
        divided(np.zeros((256, 256), dtype=bool))


def test_cleaning_keeps_the_largest_piece_and_fills_it() -> None:
    lungs = chest()
    dirty = lungs.copy()
    dirty[100:104, 60:64, 0] = False
    dirty[5:12, 5:30, 0] = True
    dirty[5:7, 200:202, 1] = True
    np.testing.assert_array_equal(cleaned(dirty), lungs)
    assert not cleaned(np.zeros_like(lungs)).any()


@given(st.integers(0, 10_000))
def test_what_is_painted_is_decided_by_the_seed_and_stays_a_film(seed: int) -> None:
    grey = film()[:256, :256, 0]
    found = painting.painted(grey, chest(), seed=(seed,))
    assert found.shape == grey.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, painting.painted(grey, chest(), seed=(seed,)))
    nothing = painting.no_chest(grey, np.random.default_rng(seed))
    assert nothing.shape == grey.shape
    assert nothing.dtype == np.uint8


def test_half_a_lung_is_whitened_and_nothing_far_from_it() -> None:
    lungs = chest(left=(60, 190, 150, 230))  # the larger
    dark = np.full((256, 256), 40, dtype=np.float32)
    dark[:, :20] = 200
    dark[200:] = 200
    white = painting.half_white(dark, lungs)
    assert white[150:180, 170:210].min() > 150
    np.testing.assert_allclose(white[:100], dark[:100], atol=0.5)
    np.testing.assert_allclose(white[:, :120], dark[:, :120], atol=0.5)


def test_known_measures() -> None:
    found = anatomy.measure(chest(left=(60, 125, 150, 220)))
    measures = found.measures
    assert measures["right_area"] == pytest.approx(130 * 70 / 256**2)
    assert measures["left_height"] == pytest.approx(65 / 256)
    assert measures["left_share"] == pytest.approx(1 / 3)
    assert found.tilt < 0  # the left lung's centre is higher
    alone = anatomy.measure(chest(left=(0, 0, 0, 0)))
    assert alone.left is None
    assert np.isnan(alone.measures["left_share"])


@pytest.mark.parametrize(
    ("lungs", "grey", "words"),
    [
        (chest(), film(), None),
        (chest(right=(60, 190, 0, 70)), film(), "the right lung is cut off at the left edge"),
        (chest(left=(126, 256, 150, 220)), film(), "the left lung is cut off at the bottom edge"),
        (chest(left=(0, 0, 0, 0)), film(), "the left lung is hardly seen"),
        (chest(right=(20, 120, 40, 110), left=(80, 180, 150, 220)), film(), "turned by some 29 degrees"),
        (chest(), film(5.0), "contrast is very low"),
    ],
)
def test_notes_say_what_a_reader_should_know(lungs: np.ndarray, grey: np.ndarray, words: str | None) -> None:
    found = anatomy.notes(anatomy.measure(lungs), grey, lungs)
    assert words in "; ".join(found) if words else found == ()


@pytest.mark.parametrize(
    ("lungs", "words"),
    [
        (np.zeros((256, 256, 2), dtype=bool), "no lungs are seen"),
        (chest(right=(60, 80, 40, 50), left=(0, 0, 0, 0)), "too small"),
        (chest(right=(150, 240, 40, 110), left=(0, 0, 0, 0)), "too low"),
        (chest(right=(0, 60, 40, 110), left=(0, 60, 150, 220)), "too high"),
        (chest(right=(0, 256, 0, 120), left=(0, 256, 120, 250)), "too large"),
        (chest(right=(60, 120, 100, 200), left=(130, 190, 100, 200)), "side by side"),
    ],
)
def test_what_is_no_chest_is_refused_in_words(lungs: np.ndarray, words: str) -> None:
    assert words in anatomy.refusal(anatomy.measure(lungs), film())


def test_a_chest_is_not_refused() -> None:
    assert anatomy.refusal(anatomy.measure(chest()), film()) == ""
    assert anatomy.refusal(anatomy.measure(chest(left=(0, 0, 0, 0))), film()) == ""  # it may be white


def test_a_film_in_a_corner_of_a_dark_plate_is_judged_by_itself() -> None:
    corner = film()
    corner[:160] = 3
    corner[40:60, 20:50] = 250  # letters
    low = anatomy.measure(chest(right=(170, 250, 40, 110), left=(170, 250, 150, 220)))
    assert "too low" in anatomy.refusal(low, film())
    assert anatomy.refusal(low, corner) == ""
    assert "too low" in anatomy.refusal(low, np.where(film() > 0, 3, 0).astype(np.uint8))  # all dark: no part is lit


def test_evidence_is_counted_where_it_is() -> None:
    lungs = np.zeros((100, 100), dtype=bool)
    lungs[:, :50] = True
    inside, outside = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.float32)
    inside[5, 1], outside[5, 8] = 3.0, 3.0
    assert share_inside(inside, lungs) == pytest.approx(1.0)
    assert share_inside(outside, lungs) == pytest.approx(0.0)
    assert share_inside(inside + outside, lungs) == pytest.approx(0.5)
    assert share_inside(-inside, lungs) is None
    assert share_inside(inside, np.zeros_like(lungs)) is None


def test_outlines_lie_on_the_edge_of_the_mask() -> None:
    (line,) = pictures.contours(chest()[..., 0])
    across, down = line[:, 0] * 256, line[:, 1] * 256
    assert (across.min(), across.max()) == pytest.approx((40, 110), abs=1.0)
    assert (down.min(), down.max()) == pytest.approx((60, 190), abs=1.0)
    assert pictures.contours(np.zeros((256, 256), dtype=bool)) == []


def test_drawing_colours_the_edges_and_leaves_the_rest() -> None:
    grey = np.full((512, 400), 90, dtype=np.uint8)
    drawn = pictures.draw(grey, chest())
    assert drawn.shape == (512, 400, 3)
    changed = (drawn != 90).any(axis=-1)
    assert 0.005 < changed.mean() < 0.05
    assert tuple(drawn[250, round(40 * 400 / 256)]) == pictures.COLOURS[0]
    assert not changed[250, 300]


def test_a_mask_is_a_picture_of_three_values() -> None:
    found = pictures.as_mask(chest())
    assert sorted(set(np.asarray(found).ravel().tolist())) == [0, 1, 2]
    assert found.convert("RGB").getpixel((60, 100)) == pictures.COLOURS[0]
