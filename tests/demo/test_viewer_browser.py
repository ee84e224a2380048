"""What the viewer shows of a film: its stored values, and an earlier film beside it."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests import image_files
from tests.demo.hands import Held, pixels, read, shows, turn_to, upload
from tfds_cxr import phantom

pytestmark = pytest.mark.browser
WINDOW = {"WindowCenter": 2000, "WindowWidth": 3000}


def stored(index: int, *, times: int) -> np.ndarray:
    """A drawn film of 12 bits, `times` as high and wide as the usual, with noise in the bits that 8 lack."""
    grey = phantom.draw("Normal", seed=3, index=index)[0].astype(np.uint16)
    large = grey.repeat(times, axis=0).repeat(times, axis=1) * 16
    return large + np.random.default_rng(0).integers(0, 16, large.shape, np.uint16)


def test_all_bits_and_pixels_of_a_film_are_shown_and_said(open_page, tmp_path: Path) -> None:
    values = stored(7, times=4)
    (tmp_path / "deep.dcm").write_bytes(image_files.dicom(values, bits=12, **WINDOW))
    page = open_page()
    held = Held(page, "whole")
    read(page, tmp_path / "deep.dcm")
    depth, levels = page.locator("#viewer .depth"), page.locator("#viewer .levels")
    expect(depth).to_have_text("1024 x 1024 of 1196 x 1196 pixels, 8 of 12 bits (DICOM MONOCHROME2 12 bit)")
    expect(levels).to_have_text("Level 2000  Width 3000")  # in the file's own units
    held.wait_for(1)
    held.let_go(0)
    expect(depth).to_have_text("1196 x 1196 pixels, 12 bits (DICOM MONOCHROME2 12 bit)")
    held.end()
    for name, value in (("level", "1500"), ("width", "40")):
        page.locator(f"#viewer input[data-of={name}]").fill(value)
    expected = np.clip((values - (1500 - 0.5)) / 39 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(pixels(page, "film")[..., 0] - expected).max() <= 1
    assert len(np.unique(pixels(page, "film")[..., 0])) > 30  # of 8 bits three would be left


def boxes(page: Page) -> list[dict]:
    return [page.locator(f"{viewer} .stage").bounding_box() for viewer in ("#viewer", "#prior-viewer")]


def test_the_same_patient_s_earlier_film_is_suggested_and_moves_along(open_page, tmp_path: Path) -> None:
    films = {"now.dcm": ("A", "20260301"), "before.dcm": ("A", "20260129"), "other.dcm": ("B", "20260101")}
    for index, (name, (patient, day)) in enumerate(films.items()):
        header = WINDOW | {"PatientID": patient, "StudyDate": day}
        (tmp_path / name).write_bytes(image_files.dicom(stored(index, times=1), bits=12, **header))
    page = open_page()
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", *(tmp_path / name for name in films))
    expect(page.locator(".worklist tbody tr")).to_have_count(3)
    page.get_by_role("button", name="now.dcm").click()
    shows(page, "now.dcm")
    page.get_by_role("button", name="Same patient, 31 days earlier: before.dcm").click()
    expect(page.locator(".prior-name")).to_have_text("Prior: before.dcm")
    expect(page.locator("#prior-viewer .levels")).to_have_text("Level 2000  Width 3000")
    for width in (1440, 820):
        page.set_viewport_size({"width": width, "height": 900})
        left, right = boxes(page)
        assert left["y"] == pytest.approx(right["y"], abs=1)
        assert left["x"] + left["width"] <= right["x"]
        assert right["width"] == pytest.approx(left["width"], abs=1)
        assert left["width"] > width / 2.5
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#viewer .stage").focus()
    page.keyboard.press("+")
    assert "scale(1.25)" in page.locator("#prior-viewer .pan").get_attribute("style")
    page.locator("#viewer input[data-of=width]").fill("1500")
    expect(page.locator("#prior-viewer .levels")).to_have_text("Level 2000  Width 1500")
    page.locator("#prior-viewer [data-do=invert]").click()  # and the other way round
    expect(page.locator("#viewer [data-do=invert]")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Window, zoom and place together").uncheck()
    page.locator("#viewer input[data-of=width]").fill("900")
    expect(page.locator("#prior-viewer .levels")).to_have_text("Level 2000  Width 1500")
    page.get_by_label("From the worklist").select_option("other.dcm")
    expect(page.locator(".prior-name")).to_have_text("Prior: other.dcm")
    page.locator("#prior-upload").set_input_files(tmp_path / "before.dcm")
    expect(page.locator(".prior-name")).to_have_text("Prior: before.dcm")
    page.locator(".examples button").first.click()
    expect(page.locator("#prior")).to_be_hidden()  # another patient's film must not stand beside
