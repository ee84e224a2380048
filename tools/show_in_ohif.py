"""Shows what the gateway stores in OHIF, on a real Orthanc, and takes pictures of it.

OHIF comes from npm: `npm pack @ohif/app`, unpack it, and name its folder `package/dist`. Orthanc and Chromium are
Debian's.

python -m tools.show_in_ohif package/dist docs/images
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cxr_keras3 import serving
from cxr_keras3.base.errors import run_command
from cxr_keras3.pacs import connection, monitoring, service, state
from cxr_keras3.run.folder import Run
from tests import gateway, orthanc, radiographs

WIDTH, HEIGHT = 1500, 850
SETTLE = 9_000  # milliseconds until what was asked for is on the screen
THUMBNAIL = '[data-cy^="study-browser-thumbnail"]'
_CONFIG = """window.config = {
  routerBasename: '/', extensions: [], modes: [], customizationService: {}, showStudyList: true, useCPURendering: true,
  defaultDataSourceName: 'archive', investigationalUseDialog: { option: 'never' },
  dataSources: [{ namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'archive',
    configuration: { friendlyName: 'Orthanc', name: 'Orthanc', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      wadoUriRoot: '/dicom-web', qidoSupportsIncludeField: false, imageRendering: 'wadors', enableStudyLazyLoad: true,
      thumbnailRendering: 'wadors', supportsFuzzyMatching: false, supportsWildcard: true } }],
};"""


def main(arguments: Sequence[str]) -> int:
    """Stores a drawn study and its answer, opens it, and takes a picture of each kind of object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path, help="folder of OHIF's build")
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    if reason := orthanc.unavailable():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as temporary, orthanc.running(Path(temporary) / "orthanc") as server:
        study = radiographs.study("dx", 0)
        server.store(study.files)
        _answer(server, gateway.write_gated_run(Path(temporary) / "drawn"))
        with _site(options.dist, server.rest) as address:
            _photograph(f"{address}/viewer?StudyInstanceUIDs={study.uid}", options.output)
    return 0


def _answer(server: orthanc.Orthanc, run_dir: Path) -> None:
    """Lets the gateway go through the archive once."""
    client = connection.connect(server.dicomweb, connection.Access())
    run = Run.open(run_dir)
    with state.opened(None, model=run.fingerprint) as known:
        told = monitoring.Monitoring()
        work = service.Gateway(client, serving.load(run), known, told, days=1, settle_seconds=0.0)
        service.pass_over(work, stop=Event())


@contextlib.contextmanager
def _site(dist: Path, rest: str) -> Iterator[str]:
    """OHIF and the archive under one address, as behind a hospital's proxy."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/dicom-web"):
                headers = {"Accept": self.headers.get("Accept", "*/*")}
                answer = requests.get(f"{rest}{self.path}", headers=headers, timeout=60)
                self._send(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)
            elif self.path.startswith("/app-config.js"):
                self._send(200, "text/javascript", _CONFIG.encode())
            else:
                if not (dist / self.path.split("?")[0].lstrip("/")).is_file():
                    self.path = "/index.html"
                super().do_GET()

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def end_headers(self) -> None:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def handler(*arguments: object) -> Handler:
        return Handler(*arguments, directory=str(dist))  # type: ignore[arg-type]  # as http.server passes them

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _photograph(address: str, output: Path) -> None:
    chromium = shutil.which("chromium") or sys.exit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--use-gl=swiftshader", "--no-sandbox"])
        for place in range(_count(_opened(browser, address))):
            page = _opened(browser, address)
            failures: list[str] = []
            page.on("pageerror", lambda error, failures=failures: failures.append(str(error)))
            thumbnail = page.locator(THUMBNAIL).nth(place)
            name = " ".join(thumbnail.inner_text().split())
            thumbnail.dblclick()
            page.wait_for_timeout(SETTLE)
            path = output / f"ohif_{name.split()[0].lower()}.png"
            page.screenshot(path=path)
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
            print(name, *(failure.splitlines()[0] for failure in failures[:2]), sep="\n  ")  # noqa: T201 -- measured
            page.close()
        browser.close()


def _opened(browser: Browser, address: str) -> Page:
    """The study in the viewer, once its list of series is there."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(address)
    page.wait_for_selector(THUMBNAIL, timeout=120_000)
    page.wait_for_timeout(SETTLE)
    page.evaluate("document.querySelectorAll('[class*=shepherd]').forEach(each => each.remove())")  # a tour
    return page


def _count(page: Page) -> int:
    found = page.locator(THUMBNAIL).count()
    page.close()
    return found


if __name__ == "__main__":
    run_command(main)
