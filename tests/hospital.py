"""A small hospital on loopback: an archive that keeps what it is given, and a UPS-RS work list as PS3.18 has it.

The work list minds its rules: an item is claimed once, is changed only by who knows its Transaction UID, and ends only
with what PS3.4 (CC.2.5.1.1) asks of a final state.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pydicom
from pydicom.dataset import Dataset
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

STATION = "CXR-AI"
SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"


@dataclass(eq=False)
class Item:
    """A work item: its dataset, who holds it, and through which states it went."""

    dataset: Dataset
    transaction: str | None = None
    history: list[str] = field(default_factory=lambda: [SCHEDULED])

    @property
    def state(self) -> str:
        return self.history[-1]

    @property
    def progress(self) -> Dataset:
        (progress,) = self.dataset.ProcedureStepProgressInformationSequence
        return progress

    @property
    def outputs(self) -> set[str]:
        """SOP Instance UIDs that it names as its result."""
        (performed,) = self.dataset.UnifiedProcedureStepPerformedProcedureSequence
        assert performed.PerformedProcedureStepStartDateTime <= performed.PerformedProcedureStepEndDateTime
        assert performed.PerformedWorkitemCodeSequence
        assert performed.PerformedStationNameCodeSequence[0].CodeValue == STATION
        references = [each for item in performed.OutputInformationSequence for each in item.ReferencedSOPSequence]
        return {str(each.ReferencedSOPInstanceUID) for each in references}


@dataclass(eq=False)
class Hospital:
    """What the servers hold.

    Attributes:
        images: Datasets by SOP Instance UID.
        items: Work items by UID.
        stored: SOP Instance UIDs of what was stored from outside, one for each time.
        before: Called with method and path before each request is answered; a status ends it.
        url: Where both services are.
    """

    images: dict[str, Dataset] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    before: Callable[[str, str], int | None] = lambda method, path: None
    url: str = ""
    channel_url: str = ""
    subscribers: set[tuple[str, str]] = field(default_factory=set)
    channels: list[ServerConnection] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def take_in(self, files: Sequence[bytes]) -> None:
        with pydicom.config.disable_value_validation():
            for file in files:
                image = pydicom.dcmread(io.BytesIO(file))
                self.images[str(image.SOPInstanceUID)], self.files[str(image.SOPInstanceUID)] = image, file

    def schedule(self, uid: str, *studies: str, station: str = STATION, readiness: str = "READY") -> Item:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = station, "99HOSPITAL", "Chest films"
        inputs = []
        for study in studies:
            entry = Dataset()
            entry.TypeOfInstances = "DICOM"
            with pydicom.config.disable_value_validation():
                entry.StudyInstanceUID = study
            inputs.append(entry)
        dataset = Dataset()
        dataset.SOPInstanceUID, dataset.PatientName, dataset.InputReadinessState = uid, "Planted^Person", readiness
        dataset.ScheduledStationNameCodeSequence, dataset.InputInformationSequence = [code], inputs
        self.items[uid] = Item(dataset)
        return self.items[uid]

    def request_cancel(self, uid: str) -> None:
        """What another's POST …/cancelrequest comes to."""
        item = self.items[uid]
        if item.state == SCHEDULED:
            item.history += [IN_PROGRESS, CANCELED]
            return
        assert any(subscribed == uid for subscribed, _ in self.subscribers), "nobody to tell"
        event = {"00001000": {"vr": "UI", "Value": [uid]}, "00001002": {"vr": "US", "Value": [2]}}
        for channel in self.channels:
            channel.send("not an event")
            channel.send(json.dumps(event))


@contextmanager
def running() -> Iterator[Hospital]:
    """A hospital whose servers run."""
    hospital = Hospital()

    def keep(channel: ServerConnection) -> None:
        hospital.channels.append(channel)
        try:
            for _ in channel:
                pass
        except ConnectionClosed:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hospital": hospital}))
    server.daemon_threads = True
    with serve(keep, "127.0.0.1", 0) as events:
        hospital.url = f"http://127.0.0.1:{server.server_port}"
        hospital.channel_url = f"ws://127.0.0.1:{events.socket.getsockname()[1]}/subscribers"
        threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in (server, events)]
        for thread in threads:
            thread.start()
        yield hospital
        for channel in hospital.channels:
            channel.close()
        events.shutdown()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hospital: Hospital

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        body = self._body()
        self.hospital.asked.append((method, parts.path))
        status = self.hospital.before(method, parts.path)
        if status:
            return self._send(status)
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        service = self._work_list if path[0] == "workitems" else self._archive
        return service(method, path[1:], parts.query, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, status: int, body: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, found: Sequence[Any]) -> None:
        self._send(200 if found else 204, json.dumps(found).encode() if found else b"")

    # The archive

    def _archive(self, method: str, path: list[str], query: str, body: bytes) -> None:
        hospital = self.hospital
        if method == "POST":
            boundary = re.search('boundary="?([^";]+)', self.headers["Content-Type"]).group(1).encode()
            for part in body.split(b"--" + boundary)[1:-1]:
                file = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
                hospital.take_in([file])
                hospital.stored.append(str(pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID))
            return self._send(200, b"{}")
        if path and path[-1] == "metadata":
            found = [image.to_json_dict() for image in hospital.images.values() if image.SeriesInstanceUID == path[2]]
            return self._json([{tag: value for tag, value in each.items() if tag != "7FE00010"} for each in found])
        if len(path) == 5:
            wrapped = b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + hospital.files[path[4]] + b"\r\n--xx--\r\n"
            return self._send(200, wrapped, 'multipart/related; type="application/dicom"; boundary=xx')
        if not path:
            return self._json([])  # nobody is to find studies by a search
        asked = parse_qs(query).get("SOPInstanceUID")
        images = [image for image in hospital.images.values() if image.StudyInstanceUID == path[0]]
        keywords = ("SeriesInstanceUID", "Modality", "SOPInstanceUID")
        found = [image for image in images if not asked or image.SOPInstanceUID in asked]
        return self._json([Dataset({image[key].tag: image[key] for key in keywords}).to_json_dict() for image in found])

    # The work list

    def _work_list(self, method: str, path: list[str], query: str, body: bytes) -> None:
        if not path:
            return self._search({key: values[0] for key, values in parse_qs(query).items()})
        item = self.hospital.items[path[0]]
        if method == "GET":
            state = {"00741000": {"vr": "CS", "Value": [item.state]}}
            return self._json([item.dataset.to_json_dict() | state])
        if path[1:2] == ["subscribers"]:
            self.hospital.subscribers.add((path[0], path[2]))
            return self._send(201, Content_Location=f"{self.hospital.channel_url}/{path[2]}")
        (sent,) = json.loads(body)
        changes = Dataset.from_json(sent)
        if path[1:] == ["state"]:
            return self._send(self._change_state(item, changes.ProcedureStepState, changes.TransactionUID))
        if item.state != IN_PROGRESS or {query, str(changes.TransactionUID)} != {item.transaction}:
            return self._send(400)
        del changes.TransactionUID
        item.dataset.update(changes)
        return self._send(200)

    def _search(self, filters: dict[str, str]) -> None:
        found = [
            item
            for item in self.hospital.items.values()
            if item.state == filters["ProcedureStepState"]
            and item.dataset.ScheduledStationNameCodeSequence[0].CodeValue
            == filters["ScheduledStationNameCodeSequence.CodeValue"]
        ]
        listed = found[int(filters["offset"]) :][: int(filters["limit"])]
        self._json([item.dataset.to_json_dict() for item in listed])

    def _change_state(self, item: Item, state: str, transaction: str) -> int:
        if state == IN_PROGRESS:
            if item.state != SCHEDULED:
                return 409
            item.transaction = transaction
        elif item.state != IN_PROGRESS or transaction != item.transaction:
            return 409
        elif (state == COMPLETED and not item.outputs) or (
            state == CANCELED
            and not (
                item.progress.ProcedureStepCancellationDateTime
                and item.progress.ProcedureStepDiscontinuationReasonCodeSequence
            )
        ):
            return 400
        item.history.append(state)
        return 200
