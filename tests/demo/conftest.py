"""A browser that knows no other host, and the page in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect, sync_playwright

from cxr_keras3 import images
from tests.demo_server import Served
from tfds_cxr import phantom

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 120_000  # milliseconds; a page that is slow for want of a core is no defect


@pytest.fixture(scope="module")
def context(demo: Served) -> Iterator[BrowserContext]:
    """A browser that knows no other host: the isolated network of a hospital."""
    if CHROMIUM is None:
        pytest.skip("no Chromium; as root: apt-get install chromium")
    arguments = ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    arguments += [] if os.geteuid() else ["--no-sandbox"]  # Chromium has none for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_context()
        opened.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        yield opened
        browser.close()


@pytest.fixture
def open_page(context: BrowserContext, demo: Served) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end of the test it may have asked no other server, and no script may have failed."""
    pages, elsewhere, failures = [], [], []

    def asked(request: Request) -> None:
        if not request.url.startswith((demo.address, "data:", "blob:")):
            elsewhere.append(request.url)

    def opened(*, width: int = 1440, height: int = 900, scheme: str = "dark", prefix: str = "") -> Page:
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.on("request", asked)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("dialog", lambda dialog: (failures.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda said: failures.append(said.text) if said.type == "error" else None)
        if prefix:
            page.set_extra_http_headers({"X-Forwarded-Prefix": prefix})
        page.goto(f"{demo.address}{prefix}/")
        page.locator(".examples button").first.wait_for()
        return page

    yield opened
    for page in pages:
        page.close()
    assert elsewhere == []
    assert failures == []


@pytest.fixture(scope="session")
def drawn_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.png"
    path.write_bytes(images.encode_png(phantom.draw("COVID", seed=3, index=500)[0]))
    return path
