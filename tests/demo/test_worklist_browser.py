"""The worklist in a real Chromium."""

import csv
import json
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import drawn_run
from tests.demo.hands import QUESTIONS, shows, turn_to, upload
from tests.demo.test_demo import HOSTILE

pytestmark = pytest.mark.browser


def test_a_worklist_of_fifty_with_one_corrupt_file(open_page, tmp_path: Path) -> None:
    files = drawn_run.write_films(tmp_path / "films", 48)
    (tmp_path / "torn.png").write_bytes(files[0].read_bytes()[:200])
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr(HOSTILE, files[7].read_bytes())
    page = open_page()
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", *files, tmp_path / "torn.png", tmp_path / "films.zip")
    rows = page.locator(".worklist tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.filter(has_text="torn.png")).to_contain_text("damaged")
    hostile = page.locator(".worklist tbody button", has_text="films.zip")
    expect(hostile).to_have_text(f"films.zip/{HOSTILE}")
    hostile.click()
    shows(page, f"films.zip/{HOSTILE}")  # an alert fails the test
    turn_to(page, "Worklist")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "worklist.csv")
    with (tmp_path / "worklist.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["file"] for row in table} == {file.name for file in (*files, tmp_path / "torn.png")} | {
        f"films.zip/{HOSTILE}"
    }
    scores = [float(row["abnormal_score"]) for row in table if row["accepted"] == "True"]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) >= 30
    page.locator(".worklist input[type=search]").fill("07")
    expect(rows).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 2  # what the filters leave
    rows.get_by_role("button").click()
    shows(page, "007.png")


def test_through_the_worklist_and_back(open_page, tmp_path: Path) -> None:
    files = drawn_run.write_films(tmp_path, 5)
    page = open_page()
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", *files)
    rows = page.locator(".worklist tbody tr")
    expect(rows).to_have_count(5)
    page.locator("th[data-by=file] button").click()
    rows.nth(1).get_by_role("button").click()
    shows(page, "001.png")
    expect(page.locator(".position")).to_have_text("2 of 5")
    page.keyboard.press("j")
    shows(page, "002.png")
    page.get_by_role("button", name="Next film").click()
    shows(page, "003.png")
    page.go_back()
    shows(page, "002.png")
    for _ in range(2):
        page.go_back()
    expect(rows.first).to_be_visible()
    expect(page.locator(".worklist tr.opened")).to_have_count(3)
    page.locator("select.kind").select_option("unread")
    expect(rows).to_have_count(2)
    page.locator("select.kind").select_option("all")
    page.evaluate("[3, 4].forEach((index) => document.querySelectorAll('.worklist tbody tr')[index].click())")
    shows(page, "004.png")  # of two clicks the last


def test_what_the_server_has_forgotten_is_read_again(open_page, tmp_path: Path) -> None:
    page = open_page()
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", *drawn_run.write_films(tmp_path, 2))
    rows = page.locator(".worklist tbody tr")
    expect(rows).to_have_count(2)
    page.route(QUESTIONS, forget_once())
    rows.first.get_by_role("button").click()
    expect(page.locator("#headline")).to_contain_text("no longer kept")
    page.get_by_role("button", name="Read the worklist again").click()
    expect(page.locator(".worklist")).to_be_visible()
    expect(rows).to_have_count(2)
    rows.last.get_by_role("button").click()
    page.locator("#headline h3").wait_for()  # an answer, or why there is none


def test_a_worklist_is_cancelled(open_page, tmp_path: Path) -> None:
    (film,) = drawn_run.write_films(tmp_path / "films", 1)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for index in range(600):
            archive.writestr(f"{index:03d}.png", film.read_bytes())
    page = open_page()
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", tmp_path / "many.zip")
    page.locator(".worklist tbody tr").first.wait_for()  # they come as they are scored
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".worklist .progress")).to_contain_text("Cancelled")
    read = int(page.locator(".worklist .count").inner_text().split()[0])
    assert read < 600
    page.wait_for_timeout(100)
    assert page.locator(".worklist tbody tr").count() == read


def forget_once():
    """Has the next film that is asked for answered as a server answers that was started anew."""
    forgotten = []

    def answer(route) -> None:
        body = route.request.post_data_json
        if body["fn_name"] == "read" and not forgotten:
            forgotten.append(body)
            body["data"]["film"]["job"] = "of-another-day"
            route.continue_(post_data=json.dumps(body))
        else:
            route.continue_()

    return answer
