"""What every reader can use: widths, keyboards, screen readers, paper."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.demo.hands import read, turn_to, upload
from tests.demo_server import Served

pytestmark = pytest.mark.browser


def violations(page: Page, *, of_colours: bool = False) -> list[str]:
    """What axe finds; of colours alone where only they have changed."""
    rules: dict = {"rules": {"label-content-name-mismatch": {"enabled": True}}}  # one of its experimental ones
    if of_colours:
        rules = {"runOnly": ["color-contrast"]}
    found = Axe().run(page, options=rules | {"resultTypes": ["violations"]}).response["violations"]
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]


def widths(page: Page, selector: str) -> list[float]:
    return [box.bounding_box()["width"] for box in page.locator(selector).all() if box.is_visible()]


def test_axe_finds_nothing_on_any_tab_in_either_mode(open_page, drawn_film: Path) -> None:
    page = open_page(scheme="light")
    in_both_modes(page)
    read(page, drawn_film)
    page.locator(".programs summary").click()
    for tab in ("Study", "Worklist", "How good is it?", "Compare"):
        turn_to(page, tab)
        if tab == "Study":
            page.get_by_role("button", name="Compare with a prior film").click()
            page.locator("#prior-upload").set_input_files(drawn_film)
            page.locator("#prior-viewer canvas.film[data-ready=true]").wait_for(state="attached")
        if tab == "Worklist":
            upload(page, "worklist-upload", drawn_film)
            expect(page.locator(".worklist tbody tr")).to_have_count(1)
        if tab == "How good is it?":
            page.locator(".quality .verdict").first.wait_for()
        if tab == "Compare":
            upload(page, "compare-upload", drawn_film)
            page.locator("#compare-viewer-2 canvas.film[data-ready=true]").wait_for(state="attached")
        in_both_modes(page)
    page.evaluate("localStorage.clear()")


def in_both_modes(page: Page) -> None:
    """Nothing is found in light mode, and of colours nothing in dark mode."""
    assert violations(page) == []
    page.locator("button.theme").click()
    assert violations(page, of_colours=True) == []
    page.locator("button.theme").click()


def test_every_width_shows_everything(open_page, drawn_film: Path) -> None:
    page = open_page(width=1440)
    read(page, drawn_film)
    for width in (1440, 820, 768, 720, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert min(widths(page, "#viewer input[type=range]")) >= 90
        if width <= 820:
            assert page.locator("#headline").bounding_box()["y"] < 500  # the answer is on the first screen
        assert page.locator("#headline").bounding_box()["width"] > 280
    turn_to(page, "Worklist")
    long = drawn_film.with_name("a-film-with-a-name-that-is-rather-long-for-a-telephone.png")
    long.write_bytes(drawn_film.read_bytes()[:300])  # damaged, so that there is a reason to read
    upload(page, "worklist-upload", long, drawn_film)
    reason = page.locator(".worklist td.reason", has_text="damaged")
    reason.wait_for()
    box = reason.bounding_box()
    assert box["x"] + box["width"] <= 390
    assert page.locator(".worklist .scroll").evaluate("node => node.scrollWidth <= node.clientWidth")


def test_paper_has_the_film_and_the_bars_and_no_controls(open_page, drawn_film: Path) -> None:
    page = open_page()
    read(page, drawn_film)
    page.emulate_media(media="print", color_scheme="dark")
    for control in (".pick", ".sliders", "#feedback", ".downloads", ".zoom", "#tabs [role=tablist]"):
        expect(page.locator(control).first).to_be_hidden()
    for shown in ("#viewer canvas.film", ".bars", "#headline", ".study h2.name"):
        expect(page.locator(shown).first).to_be_visible()
    assert page.locator(".bars .bar").first.evaluate("node => getComputedStyle(node).printColorAdjust") == "exact"


def test_behind_a_proxy_on_a_sub_path(open_page, demo: Served, drawn_film: Path) -> None:
    page = open_page(prefix="/cxr")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.locator(".examples button").first.wait_for()
    read(page, drawn_film)
    turn_to(page, "Worklist")
    upload(page, "worklist-upload", drawn_film)
    expect(page.locator(".worklist tbody tr")).to_have_count(1)
    turn_to(page, "How good is it?")  # by Gradio's queue
    page.locator(".quality .verdict").first.wait_for()
    outside = [url for url in asked if not url.startswith((f"{demo.address}/cxr/", "data:", "blob:"))]
    assert outside == []
    page.locator(".programs summary").click()
    expect(page.locator(".programs .address")).to_have_text(f"{demo.address}/cxr")
