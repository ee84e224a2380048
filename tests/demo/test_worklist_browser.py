"""The worklist in a real Chromium."""

import csv
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import drawn_run
from tests.demo.hands import shows, turn_to, upload
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
    assert len(scores) >= 40
    page.locator(".worklist input[type=search]").fill("07")
    expect(rows).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 2  # what the filters leave
    rows.get_by_role("button").click()
    shows(page, "007.png")
