"""The download from Kaggle, against a server of the test's own that speaks Kaggle's protocol."""

import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from kagglesdk import kaggle_env

from tfds_cxr import database, download
from tfds_cxr.database import DatabaseError
from tfds_cxr.tfds_cxr_dataset_builder import Builder


class Kaggle(BaseHTTPRequestHandler):
    """Serves one dataset; breaks the first transfer off in the middle when told to."""

    archive = b""
    break_off = False
    refuse = False
    ranges: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.refuse:
            self.send_error(403, "Permission denied")
        elif self.path.endswith("/GetDataset"):
            self.answer(b'{"currentVersionNumber": 5}', kind="application/json")
        else:
            self.transfer()

    def do_GET(self) -> None:
        self.transfer()

    def transfer(self) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        type(self).ranges.append(asked)
        if type(self).break_off:
            type(self).break_off = False
            self.answer(self.archive[: len(self.archive) // 2], length=len(self.archive))
        else:
            self.answer(self.archive[start:])

    def answer(self, content: bytes, *, kind: str = "application/zip", length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Nothing: the requests are the test's own."""


@pytest.fixture
def kaggle(database_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Kaggle]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(database_dir.rglob("*")):
            archive.write(path, path.relative_to(database_dir))
    handler = type("Handler", (Kaggle,), {"archive": packed.getvalue(), "ranges": []})
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no-credentials"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # Not by the SDK's own TEST environment: that prints, and so reads, whole responses before streaming them.
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, address)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    with database.opened(folder) as root:
        return [f"{file.label}/{file.filename}" for file in database.list_files(root).files]


def test_an_empty_manual_folder_downloads_and_builds(kaggle: type[Kaggle], database_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    builder = Builder(data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual"))
    assert sum(split.num_examples for split in builder.info.splits.values()) == len(names(database_dir))


def test_a_broken_download_is_resumed_where_it_broke_off(kaggle: type[Kaggle], database_dir: Path) -> None:
    kaggle.break_off = True
    with pytest.raises(DatabaseError, match=r"download .* failed"):
        download.from_kaggle()
    assert names(download.from_kaggle()) == names(database_dir)
    resumed = [asked for asked in kaggle.ranges if asked]
    assert len(resumed) == 1
    assert int(resumed[0].removeprefix("bytes=").rstrip("-")) > 0


def test_a_second_call_takes_the_cache(kaggle: type[Kaggle]) -> None:
    first = download.from_kaggle()
    transfers = len(kaggle.ranges)
    assert download.from_kaggle() == first
    assert len(kaggle.ranges) == transfers


def test_a_refusal_says_what_to_do(kaggle: type[Kaggle]) -> None:
    kaggle.refuse = True
    with pytest.raises(DatabaseError, match="Kaggle's permissions, or get the zip with a browser"):
        download.from_kaggle()


def test_no_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"  # nobody listens there
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, address)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(DatabaseError, match="check the network"):
        download.from_kaggle()
