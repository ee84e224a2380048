"""The report as FHIR resources."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom.dataset import Dataset

from cxr_keras3 import serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.pacs import (
    answering,
    archive,
    codes,
    connection,
    fhir,
    films,
    monitoring,
    service,
    state,
    structured_report,
)
from tests import drawn_run, radiographs


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> serving.Predictor:
    return serving.load(drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn"))


def scored(predictor: serving.Predictor, kind: str) -> list[films.ScoredFilm]:
    with pydicom.config.disable_value_validation():
        files = radiographs.study(kind, 0).files
        return [films.score_film(predictor, pydicom.dcmread(io.BytesIO(file)), file) for file in files]


def report(predictor: serving.Predictor, kind: str) -> Dataset:
    with pydicom.config.disable_value_validation():
        return structured_report.build_report(scored(predictor, kind), predictor.run, version="1")


@pytest.mark.parametrize("kind", ["dx", "two films", "odd header"])
def test_the_bundle_is_fhir_and_says_what_the_report_says(kind: str, predictor: serving.Predictor) -> None:
    found = scored(predictor, kind)
    document = report(predictor, kind)
    bundle = fhir.bundle(document)
    read = Bundle.model_validate_json(json.dumps(bundle))
    resources = {entry.fullUrl: entry.resource for entry in read.entry}
    assert len(resources) == len(bundle["entry"])
    (summary,) = [each for each in resources.values() if each.get_resource_type() == "DiagnosticReport"]
    assert summary.status == "preliminary"
    assert summary.subject.identifier.value == f"{radiographs.PLANTED[1]}-0"
    assert summary.imagingStudy[0].identifier.value == f"urn:oid:{document.StudyInstanceUID}"
    assert "not for diagnosis" in summary.conclusion
    assert len(summary.result) == len(found)
    for film, reference in zip(found, summary.result, strict=True):
        group = resources[reference.reference]
        flagged = "FLAGGED" if film.prediction.flag else "NOTFLAGGED"
        assert group.valueCodeableConcept.coding[0].code == flagged
        members = [resources[member.reference] for member in group.hasMember]
        values = {each.code.coding[0].code: each for each in members}
        for name, probability in film.prediction.probabilities.items():
            assert float(values["P:" + name.replace(" ", "")].valueQuantity.value) == pytest.approx(probability)
        withheld = codes.WITHHELD.meaning if film.prediction.withheld else film.prediction.predicted
        assert values["PREDICTED"].valueCodeableConcept.coding[0].display == withheld
        assert values["PREDICTED"].code.coding[0].system == f"urn:oid:{codes.SCHEME_UID}"
        assert values["MODEL"].valueCodeableConcept.coding[0].code == predictor.run.fingerprint


def test_a_report_that_is_sent_again_replaces_itself(predictor: serving.Predictor) -> None:
    first, again = (fhir.bundle(report(predictor, "dx")) for _ in range(2))
    assert [entry["request"] for entry in first["entry"]] == [entry["request"] for entry in again["entry"]]
    assert [entry["fullUrl"] for entry in first["entry"]] == [entry["fullUrl"] for entry in again["entry"]]
    other = fhir.bundle(report(predictor, "cr"))
    assert not {e["request"]["url"] for e in first["entry"][1:]} & {e["request"]["url"] for e in other["entry"]}


def test_a_study_without_patient_and_order_has_neither(predictor: serving.Predictor) -> None:
    document = report(predictor, "dx")
    document.PatientID, document.AccessionNumber, document.StudyDate = "", "", ""
    bundle = fhir.bundle(document)
    Bundle.model_validate(bundle)
    observation = bundle["entry"][1]["resource"]
    assert not {"subject", "basedOn", "effectiveDateTime"} & observation.keys()


def test_a_folder_gets_a_file_for_each_report(predictor: serving.Predictor, tmp_path: Path) -> None:
    document = report(predictor, "dx")
    fhir.receiver(str(tmp_path / "fhir"), ca_bundle=None)(document)
    (path,) = (tmp_path / "fhir").iterdir()
    assert json.loads(path.read_text()) == fhir.bundle(document)


@contextlib.contextmanager
def fhir_server(status: int) -> Iterator[SimpleNamespace]:
    """Answers each POST with a status, and keeps what came."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.headers["Authorization"] or "", self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_address[1]}/fhir/", received=received)
        server.shutdown()


def test_a_server_gets_the_bundle_and_the_token(predictor: serving.Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fhir.TOKEN, "secret")
    document = report(predictor, "dx")
    with fhir_server(200) as server:
        fhir.receiver(server.url, ca_bundle=None)(document)
    ((authorization, body),) = server.received
    assert authorization == "Bearer secret"
    assert json.loads(body) == fhir.bundle(document)
    with pytest.raises(UserError, match="https only"):
        fhir.receiver("http://fhir.example", ca_bundle=None)
    with pytest.raises(UserError, match="--fhir must be an http or https address"):
        fhir.receiver("ftp://fhir.example", ca_bundle=None)


@pytest.mark.parametrize(("status", "stage"), [(201, "stored"), (422, "failing"), (503, "failing")])
def test_a_study_is_answered_once_the_server_has_taken_its_bundle(
    status: int, stage: str, predictor: serving.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = answering.StudyAnswer([], [], [report(predictor, "dx")])
    monkeypatch.setattr(service, "answer", lambda *_, **__: found)
    monkeypatch.setattr(archive, "store", lambda *_: None)
    with fhir_server(status) as server, state.opened(None, model="m") as known:
        receiver = fhir.receiver(server.url, ca_bundle=None)
        work = service.Gateway(
            SimpleNamespace(), predictor, known, monitoring.Monitoring(), days=1, settle_seconds=0.0, fhir=receiver
        )
        service.handle(work, archive.ListedStudy("1.2.3", 1), known.see("1.2.3", instances=1))
        assert known.find("1.2.3").stage == stage
        assert len(server.received) == 1


def test_a_server_that_is_away_is_said_without_its_answer(predictor: serving.Predictor) -> None:
    with fhir_server(500) as server:
        send = fhir.receiver(server.url, ca_bundle=None)
    with pytest.raises(connection.RefusedError, match="does not answer"):
        send(report(predictor, "dx"))
