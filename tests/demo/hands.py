"""What the browser tests do with the page, as a reader does it."""

import base64
import io
import re
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, expect

READY = "#viewer canvas.film[data-ready=true]"
QUESTIONS = re.compile("/component_server/?$")  # of the page's scripts


def upload(page: Page, field: str, *files: Path) -> None:
    page.locator(f"#{field}").set_input_files([str(file) for file in files])


def shows(page: Page, name: str) -> None:
    """Waits until a film stands under its name, with its answer and its picture."""
    expect(page.locator(".study h2.name")).to_have_text(name)
    expect(page.locator("#headline")).not_to_be_empty()
    page.locator(READY).wait_for(state="attached")


def read(page: Page, file: Path) -> None:
    """Uploads a film and waits for its picture."""
    upload(page, "film-upload", file)
    shows(page, file.name)


def turn_to(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def pixels(page: Page, canvas: str) -> np.ndarray:
    """What a canvas of the viewer shows, uint8 (height, width, 4)."""
    uri = page.locator(f"#viewer canvas.{canvas}").evaluate("node => node.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        return np.asarray(picture.convert("RGBA"))


def drop(page: Page, selector: str, *files: Path) -> bool:
    """Drops files on a part of the page; returns whether the browser stays on the page."""
    contents = [{"name": file.name, "base64": base64.b64encode(file.read_bytes()).decode()} for file in files]
    return page.locator(selector).first.evaluate(
        """(node, contents) => {
            const transfer = new DataTransfer();
            for (const { name, base64 } of contents) {
                transfer.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name));
            }
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            return ["dragover", "drop"].map((kind) => !node.dispatchEvent(new DragEvent(kind, options))).every(Boolean);
        }""",
        contents,
    )


def paste(page: Page, file: Path) -> None:
    page.evaluate(
        """([name, base64]) => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name));
            document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )


class Held:
    """Holds back answers of one kind until they are let go, the way a large film takes its time."""

    def __init__(self, page: Page, function: str) -> None:
        self._page, self._function, self.routes = page, function, []
        page.route(QUESTIONS, self._hold)

    def _hold(self, route: Route) -> None:
        if route.request.post_data_json["fn_name"] == self._function:
            self.routes.append(route)
        else:
            route.continue_()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.routes) < count:
            assert time.monotonic() < deadline, f"{len(self.routes)} of {count} were asked"
            self._page.wait_for_timeout(20)

    def let_go(self, index: int) -> None:
        with self._page.expect_response(lambda response: response.request == self.routes[index].request) as answered:
            self.routes[index].continue_()
        answered.value.finished()

    def end(self) -> None:
        self._page.unroute(QUESTIONS)
