"""The gateway before an archive that lies: no answer without end, no data elsewhere, no study held up by another."""

import io
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_keras3.images import ImageError
from cxr_keras3.pacs import archive, connection, films, gateway, monitoring, service, state
from tests.image_files import dicom_bytes, dicom_dataset, picture

STUDIES = ("1.2.3.1", "1.2.3.2")
Answer = Callable[[BaseHTTPRequestHandler], None]


def film(study: str) -> Dataset:
    dataset = dicom_dataset(picture(), StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.1"
    return dataset


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Type": "application/dicom+json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def honest(handler: BaseHTTPRequestHandler) -> None:
    """An archive of two studies of one film each."""
    path = handler.path.split("?")[0]
    parts = path.strip("/").split("/")
    if parts == ["studies"]:
        first = "offset=0" in handler.path or "offset" not in handler.path
        found = [{"0020000D": {"vr": "UI", "Value": [study]}} for study in STUDIES] if first else []
        send(handler, 200, json.dumps(found).encode())
    elif parts[-1] == "series":
        series = {"0020000E": {"vr": "UI", "Value": [f"{parts[1]}.1"]}, "00080060": {"vr": "CS", "Value": ["DX"]}}
        send(handler, 200, json.dumps([series]).encode())
    elif parts[-1] == "metadata":
        header = {tag: value for tag, value in film(parts[1]).to_json_dict().items() if tag != "7FE00010"}
        send(handler, 200, json.dumps([header]).encode())
    else:
        wrap(handler, dicom_bytes(film(parts[1])))


def wrap(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    body = b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--xx--\r\n"
    send(handler, 200, body, Content_Type='multipart/related; type="application/dicom"; boundary=xx')


@pytest.fixture
def archive_of() -> Iterator[Callable[[Answer], str]]:
    """Starts an archive that answers so; gives its address."""
    running = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def connected(address: str) -> connection.ArchiveClient:
    return connection.connect(address, connection.Access())


def first_header(client: connection.ArchiveClient) -> Dataset:
    study = next(archive.studies(client, days=1))
    (header,) = archive.radiographs(client, study)
    return header


def test_an_honest_archive_gives_the_file_as_it_is(archive_of) -> None:
    client = connected(archive_of(honest))
    image, data = archive.fetch(client, first_header(client))
    assert data == dicom_bytes(film(STUDIES[0]))
    assert image.SOPInstanceUID == f"{STUDIES[0]}.1.1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(archive_of, status: int) -> None:
    asked = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        honest(handler)

    other = archive_of(elsewhere)
    client = connected(archive_of(lambda handler: send(handler, status, Location=f"{other}{handler.path}")))
    with pytest.raises(connection.RefusedError):
        list(archive.studies(client, days=1))
    with pytest.raises(connection.RefusedError):
        archive.store(client, [film(STUDIES[0])])
    assert asked == []


def test_a_deflated_file_is_refused_before_it_is_inflated(archive_of) -> None:
    def deflated(handler: BaseHTTPRequestHandler) -> None:
        if "/instances/" not in handler.path:
            return honest(handler)
        dataset = film(STUDIES[0])
        whole = dicom_bytes(dataset)
        dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        meta = io.BytesIO()
        pydicom.filewriter.write_file_meta_info(meta, dataset.file_meta)
        body = (
            whole[whole.index(b"\x08\x00\x16\x00") :] + b"\xe1\x7f\x00\x10OB\0\0" + (200 * 2**20).to_bytes(4, "little")
        )
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(body) + b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
        return wrap(handler, bytes(128) + b"DICM" + meta.getvalue() + packed)

    client = connected(archive_of(deflated))
    begun = time.monotonic()
    with pytest.raises(ImageError, match="transfer syntax is not read: Deflated"):
        archive.fetch(client, first_header(client))
    assert time.monotonic() - begun < 5


def test_an_answer_without_end_is_cut_off(archive_of, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 2**20)
            sent.append(1)

    monkeypatch.setattr(connection, "LARGEST_ANSWER", 5 * 2**20)
    with pytest.raises(connection.RefusedError):
        list(archive.studies(connected(archive_of(_until_broken(endless))), days=1))
    assert len(sent) < 40


def test_an_answer_that_drips_is_cut_off(archive_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_ANSWER", 0.5)
    with pytest.raises(connection.RefusedError):
        list(archive.studies(connected(archive_of(_until_broken(drip))), days=1))


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.1)


def _until_broken(answer: Answer) -> Answer:
    def answered(handler: BaseHTTPRequestHandler) -> None:
        try:
            answer(handler)
        except OSError:
            handler.close_connection = True

    return answered


def test_pages_without_end_end(archive_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_LISTED", 50)
    numbers = iter(range(10**6))

    def pages(handler: BaseHTTPRequestHandler) -> None:
        found = [{"0020000D": {"vr": "UI", "Value": [f"1.9.{next(numbers)}"]}} for _ in range(20)]
        send(handler, 200, json.dumps(found).encode())

    with pytest.raises(connection.RefusedError, match="more than 50"):
        list(archive.studies(connected(archive_of(pages)), days=1))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_one_study_s_trouble_holds_up_no_other(archive_of, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def troubled(handler: BaseHTTPRequestHandler) -> None:
        if f"{STUDIES[0]}/series/" in handler.path and "/instances/" in handler.path:
            return send(handler, status)
        return honest(handler)

    scored = []
    monkeypatch.setattr(films, "score_film", lambda _, image, __: scored.append(image.StudyInstanceUID) or "no")
    with state.opened(None, model="m") as known:
        work = service.Gateway(
            connected(archive_of(troubled)), None, known, monitoring.Monitoring(), days=1, settle_seconds=0.0
        )
        service.pass_over(work, stop=threading.Event())
        assert scored == [STUDIES[1]]
        assert [known.find(study).stage for study in STUDIES] == ["failing", "nothing"]


def test_it_ends_in_the_middle_of_a_slow_answer(archive_of) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        return drip(handler) if handler.path.endswith("series") else honest(handler)

    stop = threading.Event()
    with state.opened(None, model="m") as known:
        work = service.Gateway(
            connected(archive_of(_until_broken(slow))), None, known, monitoring.Monitoring(), days=1, settle_seconds=0.0
        )
        threading.Timer(1.0, stop.set).start()
        begun = time.monotonic()
        one_pass = partial(service.pass_over, work, stop=stop)
        gateway.work(one_pass, told=work.monitoring, stop=stop, poll_seconds=1.0)
        assert time.monotonic() - begun < 5.5
