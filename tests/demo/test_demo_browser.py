"""The study in a real Chromium, as a reader uses it. Every request that leaves the server is an error."""

import csv
import hashlib
import json
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from cxr_keras3 import images
from tests import image_files
from tests.demo.conftest import WAIT
from tests.demo.hands import Held, drop, paste, pixels, read, shows, turn_to, upload
from tests.demo.test_demo import HOSTILE, photograph
from tests.demo_server import Served
from tfds_cxr import phantom

pytestmark = pytest.mark.browser


def test_a_png_is_read_and_the_heat_map_changes_with_the_class(open_page, drawn_film: Path) -> None:
    page = open_page()
    requests: list[str] = []
    read(page, drawn_film)
    page.on("request", lambda request: requests.append(request.url) if "heartbeat" not in request.url else None)
    shown = pixels(page, "film")
    np.testing.assert_array_equal(shown[..., 0], images.decode(drawn_film).pixels)
    maps = {}
    for name in ("COVID", "Viral Pneumonia", "None"):
        page.locator("#viewer .choices label", has_text=re.compile(f"^{name}$")).click()
        maps[name] = pixels(page, "heat")
    assert np.abs(maps["COVID"][..., 3].astype(int) - maps["Viral Pneumonia"][..., 3]).mean() > 10
    assert not maps["None"].any()
    page.locator("#viewer .choices label", has_text="Normal").click()
    expect(page.locator("#viewer .where")).to_contain_text("Nothing on this film speaks for Normal")
    page.locator("#viewer input[data-of=width]").fill("64")
    narrowed = pixels(page, "film")
    assert np.ptp(narrowed[100:200, 100:200, 0].astype(int)) > np.ptp(shown[100:200, 100:200, 0].astype(int))
    assert requests == []  # all of it without the server


def named(page: Page, index: int) -> str:
    """The name of an example, which the server draws."""
    return page.locator(".examples button").nth(index).get_attribute("data-name")


def test_the_last_film_asked_for_is_the_one_that_is_shown(open_page, drawn_film: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(images.encode_png(phantom.draw("Normal", seed=3, index=501)[0]))
    page = open_page()
    name, agree = page.locator(".study h2.name"), page.locator("#agree")
    second = named(page, 1)
    read(page, drawn_film)
    held = Held(page, "read")
    upload(page, "film-upload", other)
    held.wait_for(1)
    expect(name).to_have_text("Reading other.png…")  # and nothing of the film before beside it
    expect(page.locator("#headline")).to_be_empty()
    expect(page.locator("#findings")).to_be_empty()
    expect(agree).to_be_hidden()
    assert not pixels(page, "film").any()
    page.locator(".examples button").first.click()
    page.locator(".examples button").nth(1).click()
    held.wait_for(3)
    held.let_go(2)
    shows(page, second)
    held.let_go(0)  # too late
    held.let_go(1)
    page.wait_for_timeout(100)
    shows(page, second)
    held.end()


def test_films_are_dropped_pasted_and_picked_anywhere_and_again(open_page, drawn_film: Path, tmp_path: Path) -> None:
    films = [tmp_path / f"{name}.png" for name in ("text", "viewer", "tabs", "pasted")]
    for film in films:
        film.write_bytes(drawn_film.read_bytes())
    page = open_page()
    for film, target in zip(films, (".pick p", "#viewer .stage", "#tabs", ""), strict=True):
        if target:
            assert drop(page, target, film)  # else the browser leaves the page for the picture
        else:
            paste(page, film)
        shows(page, film.name)
    read(page, films[0])  # again
    assert drop(page, ".programs", *films[:3])
    expect(page.locator(".worklist tbody tr")).to_have_count(3)
    turn_to(page, "Study")
    shows(page, "text.png")


def test_a_dicom_file_and_a_hostile_name(open_page, drawn_film: Path, tmp_path: Path) -> None:
    stored = phantom.draw("Normal", seed=3, index=7)[0].astype(np.uint16).repeat(2, axis=0).repeat(2, axis=1) * 16
    header = {"WindowCenter": 2048, "WindowWidth": 4096, "PixelSpacing": [0.5, 0.5]}
    stored = stored.repeat(2, axis=0).repeat(2, axis=1)  # larger than what is sent first
    (tmp_path / "study.dcm").write_bytes(image_files.dicom(stored, bits=12, StudyDescription=HOSTILE, **header))
    page = open_page()
    read(page, tmp_path / "study.dcm")
    expect(page.locator("#viewer .depth")).to_have_text("1196 x 1196 pixels, 12 bits (DICOM MONOCHROME2 12 bit)")
    page.get_by_role("button", name="Measure").click()
    box = page.locator("#viewer .pan").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 1, middle)
    page.mouse.up()
    words = page.locator("#viewer .ruler text")
    assert float(words.text_content().removesuffix(" mm")) == pytest.approx(1196 / 2 * 0.5, abs=2)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer .ruler")).to_be_hidden()
    expect(page.locator("#findings .bars tr")).to_have_count(5)
    assert "Secret" not in page.content()
    hostile = tmp_path / HOSTILE.replace("/", "")
    hostile.write_bytes(drawn_film.read_bytes())
    read(page, hostile)  # under its whole name; an alert fails the test


def test_the_keyboard_is_enough(open_page) -> None:
    page = open_page()
    first = named(page, 0)
    page.locator(".examples button").first.focus()
    page.keyboard.press("Enter")
    shows(page, first)
    pan = page.locator("#viewer .pan")
    page.keyboard.press("+")  # the film has the focus
    assert "scale(1.25)" in pan.get_attribute("style")
    before = pixels(page, "film")
    page.keyboard.press("i")
    np.testing.assert_array_equal(pixels(page, "film")[..., :3], 255 - before[..., :3])
    page.keyboard.press("m")
    assert not pixels(page, "heat").any()
    page.keyboard.press("r")
    assert "scale(1)" in pan.get_attribute("style")
    np.testing.assert_array_equal(pixels(page, "film"), before)
    page.keyboard.press("2")
    expect(page.locator("#viewer canvas.heat")).to_have_attribute("data-shown", "Lung_Opacity")
    assert page.locator("#viewer canvas.film").get_attribute("aria-label").startswith("Chest film")


def test_the_mouse_does_what_a_workstation_s_does(open_page, drawn_film: Path) -> None:
    page = open_page()
    read(page, drawn_film)
    box = page.locator("#viewer .stage").bounding_box()
    centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    place = "node => Array.from(new DOMMatrix(getComputedStyle(node).transform).toFloat64Array())"
    pan = page.locator("#viewer .pan")
    width, level = (page.locator(f"#viewer input[data-of={name}]") for name in ("width", "level"))

    def drag(button: str) -> None:
        page.mouse.move(*centre)
        page.mouse.down(button=button)
        page.mouse.move(centre[0] - 60, centre[1] + 40, steps=3)
        page.mouse.up(button=button)

    drag("left")
    assert int(width.input_value()) < 256
    assert int(level.input_value()) < 128
    page.mouse.move(centre[0] + 100, centre[1])
    for _ in range(4):
        page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('#viewer .stage').classList.contains('zoomed')")
    page.wait_for_function("new DOMMatrix(getComputedStyle(document.querySelector('#viewer .pan')).transform).a > 2.67")
    matrix = pan.evaluate(place)
    assert matrix[0] == pytest.approx(2.718, abs=0.05)
    assert matrix[12] == pytest.approx(100 * (1 - matrix[0]), abs=2)  # the point below the pointer stays
    drag("middle")
    assert pan.evaluate(place)[12] == pytest.approx(matrix[12] - 60, abs=2)
    page.mouse.dblclick(*centre)
    assert pan.evaluate(place)[0] == 1


def test_a_photograph_is_refused(open_page, tmp_path: Path) -> None:
    (tmp_path / "meadow.png").write_bytes(photograph())
    page = open_page()
    read(page, tmp_path / "meadow.png")
    expect(page.locator("#headline [role=alert]")).to_contain_text("Not read")
    expect(page.locator("#findings .bars")).to_have_count(0)
    expect(page.locator("#viewer .choices")).to_be_hidden()


def test_the_result_is_downloaded(open_page, drawn_film: Path, tmp_path: Path) -> None:
    page = open_page()
    read(page, drawn_film)
    for button, name in (("Result as JSON", "result.json"), ("Result as a page", "result.html")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        download.value.save_as(tmp_path / name)
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["file"] == "film.png"
    page.set_content((tmp_path / "result.html").read_text())
    assert page.locator("img").count() == 2
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height < 1123 - 106  # A4 at 96 dots an inch, less its margins


def test_feedback_is_saved_and_exported(open_page, drawn_film: Path, tmp_path: Path) -> None:
    page = open_page()
    read(page, drawn_film)
    agree = page.get_by_role("button", name=re.compile("^Agree"))
    agree.click()
    expect(page.locator("#kept")).to_contain_text("Give your initials")
    page.get_by_label("Your initials").fill("AB")
    page.get_by_label("Your initials").blur()
    agree.click()
    expect(page.locator("#kept")).to_contain_text("as the model says")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#kept")).to_contain_text("Taken back")
    agree.click()
    expect(page.locator("#kept")).to_contain_text("as the model says")
    page.locator("#feedback").get_by_label("Normal").check()
    page.get_by_label("Comment, without names").fill("no opacity seen")
    page.get_by_label("Keep the film too").check()
    page.get_by_role("button", name="Save this label").click()
    expect(page.locator("#kept")).to_contain_text("Kept: Normal, with the film")
    page.locator(".examples button").first.click()
    shows(page, named(page, 0))
    read(page, drawn_film)
    expect(page.locator("#kept")).to_contain_text("You said: Normal")  # the one answer, to be changed
    turn_to(page, "How good is it?")
    expect(page.locator(".quality .verdict").first).to_contain_text("Audit: WARN")
    assert page.locator(".quality svg polyline").count() == 2 * 6  # two runs, four classes and two reliabilities
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the full report").first.click()
    assert Path(download.value.path()).read_text() == "<p>the report"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the labels").click()
    download.value.save_as(tmp_path / "labels.zip")
    with zipfile.ZipFile(tmp_path / "labels.zip") as archive:
        archive.extractall(tmp_path)
    with (tmp_path / "labels.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["label"] == "Normal")
    np.testing.assert_array_equal(images.decode(tmp_path / row["path"]).pixels, images.decode(drawn_film).pixels)
    answers = (tmp_path / "answers.csv").read_text()
    digest = hashlib.sha256(drawn_film.read_bytes()).hexdigest()  # other tests have said something of other films
    assert len([line for line in answers.splitlines() if digest in line and line.endswith(",AB")]) == 1
    assert "no opacity seen" not in answers  # comments are for whoever runs the server


def test_two_models_are_compared(open_page, drawn_film: Path) -> None:
    page = open_page()
    turn_to(page, "Compare")
    upload(page, "compare-upload", drawn_film)
    expect(page.locator("#agreement")).to_contain_text("Both say")
    expect(page.locator("#compare-viewer-2 canvas.film")).to_have_attribute("data-ready", "true")


def test_dark_and_light(open_page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    dark, light = "rgb(11, 12, 13)", "rgb(244, 245, 245)"
    page = open_page(scheme="light")
    assert page.evaluate(background) == light
    page.locator("button.theme").click()
    assert page.evaluate(background) == dark
    page.reload()
    page.locator(".examples button").first.wait_for()
    assert page.evaluate(background) == dark  # remembered
    page.evaluate("localStorage.clear()")


def test_uploads_are_deleted_when_the_page_is_closed(open_page, drawn_film: Path, demo: Served, tmp_path: Path) -> None:
    page = open_page()
    copy = tmp_path / "only-here.png"
    copy.write_bytes(images.encode_png(images.decode(drawn_film).pixels[:, ::-1]))
    read(page, copy)
    assert len(list(demo.uploads.rglob("only-here.png"))) == 1
    page.close()
    deadline = time.monotonic() + WAIT / 1000
    while list(demo.uploads.rglob("only-here.png")):
        assert time.monotonic() < deadline, "the upload outlives its session"
        time.sleep(0.2)
