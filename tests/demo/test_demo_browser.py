"""The page in a real Chromium, as a reader uses it. Every request that leaves the server is an error."""

import base64
import csv
import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Request, expect, sync_playwright

from cxr_keras3 import images
from tests import image_files
from tests.demo.test_demo import HOSTILE, photograph
from tests.demo_server import Served
from tfds_cxr import phantom

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 30_000  # milliseconds; a page that is slow for want of a core is no defect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; as root: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def context(demo: Served) -> Iterator[BrowserContext]:
    """A browser that knows no other host: the isolated network of a hospital."""
    arguments = ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    arguments += [] if os.geteuid() else ["--no-sandbox"]  # Chromium has none for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_context()
        opened.set_default_timeout(WAIT)
        yield opened
        browser.close()


@pytest.fixture
def open_page(context: BrowserContext, demo: Served) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end of the test it may have asked no other server, and no script may have failed."""
    pages, elsewhere, failures = [], [], []

    def asked(request: Request) -> None:
        if not request.url.startswith((demo.address, "data:", "blob:")):
            elsewhere.append(request.url)

    def opened(*, width: int = 1440, height: int = 900, scheme: str = "dark") -> Page:
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.on("request", asked)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("dialog", lambda dialog: (failures.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda said: failures.append(said.text) if said.type == "error" else None)
        page.goto(demo.address)
        page.locator(".examples button").first.wait_for()
        return page

    yield opened
    for page in pages:
        page.close()
    assert elsewhere == []
    assert failures == []


def upload(page: Page, field: str, *files: Path) -> None:
    page.locator(f"#{field} input[type=file]").set_input_files([str(file) for file in files])


def read(page: Page, file: Path) -> None:
    """Uploads a film and waits for its picture."""
    upload(page, "film-upload", file)
    expect(page.locator("#findings")).to_contain_text(file.name, timeout=WAIT)
    expect(page.locator("#viewer canvas.film")).to_have_attribute("data-ready", "true", timeout=WAIT)


def pixels(page: Page, canvas: str) -> np.ndarray:
    """What a canvas of the viewer shows, uint8 (height, width, 4)."""
    uri = page.locator(f"#viewer canvas.{canvas}").evaluate("node => node.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        return np.asarray(picture.convert("RGBA"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.png"
    path.write_bytes(images.encode_png(phantom.draw("COVID", seed=3, index=500)[0]))
    return path


def test_a_png_is_read_and_the_heat_map_changes_with_the_class(open_page, film: Path) -> None:
    page = open_page()
    requests: list[str] = []
    read(page, film)
    page.on("request", lambda request: requests.append(request.url) if "heartbeat" not in request.url else None)
    shown = pixels(page, "film")
    np.testing.assert_array_equal(shown[..., 0], images.decode(film).pixels)
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


def test_a_dicom_file_is_read(open_page, tmp_path: Path) -> None:
    stored = phantom.draw("Normal", seed=3, index=7)[0].astype(np.uint16).repeat(2, axis=0).repeat(2, axis=1) * 16
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    (tmp_path / "study.dcm").write_bytes(image_files.dicom(stored, bits=12, StudyDescription=HOSTILE, **window))
    page = open_page()
    read(page, tmp_path / "study.dcm")
    expect(page.locator("#findings .bars tr")).to_have_count(5)
    assert "Secret" not in page.content()


def test_the_keyboard_is_enough(open_page, film: Path) -> None:
    page = open_page()
    page.locator(".examples button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer canvas.film")).to_have_attribute("data-ready", "true", timeout=WAIT)
    stage = page.locator("#viewer .stage")
    stage.focus()
    page.keyboard.press("+")
    assert "scale(1.25)" in page.locator("#viewer .pan").get_attribute("style")
    before = pixels(page, "film")
    page.keyboard.press("i")
    np.testing.assert_array_equal(pixels(page, "film")[..., :3], 255 - before[..., :3])
    page.keyboard.press("m")
    assert not pixels(page, "heat").any()
    page.keyboard.press("0")
    assert "scale(1)" in page.locator("#viewer .pan").get_attribute("style")
    assert page.locator("#viewer canvas.film").get_attribute("aria-label").startswith("Chest film")


def test_a_photograph_is_refused(open_page, tmp_path: Path) -> None:
    (tmp_path / "meadow.png").write_bytes(photograph())
    page = open_page()
    read(page, tmp_path / "meadow.png")
    expect(page.locator("#findings [role=alert]")).to_contain_text("Not read")
    expect(page.locator("#findings .bars")).to_have_count(0)
    expect(page.locator("#viewer .choices")).to_be_hidden()


def test_the_result_is_downloaded(open_page, film: Path, tmp_path: Path) -> None:
    page = open_page()
    read(page, film)
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


def test_a_worklist_of_fifty_with_one_corrupt_file(open_page, tmp_path: Path) -> None:
    files = [tmp_path / f"{index:02d}.png" for index in range(49)]
    for index, file in enumerate(files):
        label = ("COVID", "Normal")[index % 2]
        file.write_bytes(images.encode_png(phantom.draw(label, seed=3, index=600 + index)[0]))
    (tmp_path / "torn.png").write_bytes(files[0].read_bytes()[:200])
    page = open_page()
    page.get_by_role("tab", name="Worklist").click()
    upload(page, "worklist-upload", *files, tmp_path / "torn.png")
    rows = page.locator("#worklist tbody tr")
    expect(rows).to_have_count(50, timeout=WAIT)
    torn = rows.filter(has_text="torn.png")
    expect(torn).to_contain_text("damaged")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "worklist.csv")
    with (tmp_path / "worklist.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["file"] for row in table} == {file.name for file in (*files, tmp_path / "torn.png")}
    scores = [float(row["abnormal_score"]) for row in table if row["accepted"] == "True"]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) >= 40
    page.locator("#worklist input[type=search]").fill("07")
    expect(rows).to_have_count(1)
    rows.get_by_role("button").click()
    expect(page.locator("#findings")).to_contain_text("07.png", timeout=WAIT)
    expect(page.locator("#viewer")).to_be_visible()


def test_hostile_names_are_shown_as_text(open_page, film: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr(HOSTILE, film.read_bytes())
    page = open_page()
    page.get_by_role("tab", name="Worklist").click()
    upload(page, "worklist-upload", tmp_path / "films.zip")
    button = page.locator("#worklist tbody button")
    expect(button).to_have_text(f"films.zip/{HOSTILE}", timeout=WAIT)
    button.click()
    expect(page.locator("#findings .source")).to_contain_text(HOSTILE, timeout=WAIT)  # an alert fails the test


def test_feedback_is_saved_and_exported(open_page, film: Path, tmp_path: Path) -> None:
    page = open_page()
    read(page, film)
    page.get_by_role("button", name=re.compile("^Agree")).click()
    expect(page.locator("#kept")).to_contain_text("as the model says", timeout=WAIT)
    page.locator("#feedback").get_by_label("Normal").check()
    page.get_by_label("Comment, without names").fill("no opacity seen")
    page.get_by_label("Keep the film too").check()
    page.get_by_role("button", name="Save this label").click()
    expect(page.locator("#kept")).to_contain_text("Kept: Normal, with the film", timeout=WAIT)
    page.get_by_role("tab", name="How good is it?").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the labels").click()
    download.value.save_as(tmp_path / "labels.zip")
    with zipfile.ZipFile(tmp_path / "labels.zip") as archive:
        archive.extractall(tmp_path)
    with (tmp_path / "labels.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["label"] == "Normal")
    np.testing.assert_array_equal(images.decode(tmp_path / row["path"]).pixels, images.decode(film).pixels)
    assert "no opacity seen" in (tmp_path / "answers.csv").read_text()


def test_the_evaluation_is_drawn(open_page) -> None:
    page = open_page()
    page.get_by_role("tab", name="How good is it?").click()
    expect(page.locator(".quality .verdict").first).to_contain_text("Audit: WARN", timeout=WAIT)
    assert page.locator(".quality svg polyline").count() == 2 * 6  # two runs, four classes and two reliabilities
    with page.expect_download() as download:
        page.get_by_text("Download the full report").first.click()
    assert Path(download.value.path()).read_text() == "<p>the report"


def test_two_models_are_compared(open_page, film: Path) -> None:
    page = open_page()
    page.get_by_role("tab", name="Compare").click()
    upload(page, "compare-upload", film)
    expect(page.locator("#agreement")).to_contain_text("Both say", timeout=WAIT)
    expect(page.locator("#compare-viewer-2 canvas.film")).to_have_attribute("data-ready", "true", timeout=WAIT)


def test_dark_and_light(open_page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    for scheme, colour, other in (
        ("dark", "rgb(11, 12, 13)", "rgb(244, 245, 245)"),
        ("light", "rgb(244, 245, 245)", "rgb(11, 12, 13)"),
    ):
        page = open_page(scheme=scheme)
        assert page.evaluate(background) == colour
        page.locator("button.theme").click()
        assert page.evaluate(background) == other
        page.reload()
        page.locator(".examples button").first.wait_for()
        assert page.evaluate(background) == other  # remembered
        page.evaluate("localStorage.clear()")


def test_a_phone_shows_everything_in_its_width(open_page, film: Path) -> None:
    page = open_page(width=390, height=844)
    read(page, film)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    notice = page.locator("#header .notice")
    expect(notice).to_be_visible()
    expect(page.locator("#header .banner").first).to_contain_text("synthetic")
    upload_top = page.locator("#film-upload").bounding_box()["y"]
    assert upload_top < page.locator("#viewer").bounding_box()["y"]  # what to do first comes first


def test_uploads_are_deleted_when_the_page_is_closed(open_page, film: Path, demo: Served) -> None:
    page = open_page()
    copy = film.with_name("only-here.png")
    copy.write_bytes(images.encode_png(images.decode(film).pixels[:, ::-1]))
    read(page, copy)
    assert len(list(demo.uploads.rglob("only-here.png"))) == 1
    page.close()
    deadline = time.monotonic() + WAIT / 1000
    while list(demo.uploads.rglob("only-here.png")):
        assert time.monotonic() < deadline, "the upload outlives its session"
        time.sleep(0.2)
