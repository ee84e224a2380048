"""The gateway's parts, without an archive."""

import contextlib
import io
import logging
import socket
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import highdicom as hd
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from cxr_keras3 import __version__, images, serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.pacs import (
    answering,
    archive,
    capture,
    codes,
    conformance,
    connection,
    films,
    identity,
    monitoring,
    service,
    state,
    structured_report,
)
from cxr_keras3.run.folder import Run
from tests import drawn_run, radiographs
from tests.orthanc import free_port


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def predictor(run_dir: Path) -> serving.Predictor:
    return serving.load(run_dir)


@pytest.fixture(scope="module")
def run(run_dir: Path) -> Run:
    return Run.open(run_dir)


def scored(predictor: serving.Predictor, kind: str, number: int = 0) -> list[films.ScoredFilm]:
    """The films of a drawn study."""
    found = []
    with pydicom.config.disable_value_validation():
        for file in radiographs.study(kind, number).files:
            outcome = films.score_film(predictor, pydicom.dcmread(io.BytesIO(file)), file)
            assert isinstance(outcome, films.ScoredFilm)
            found.append(outcome)
    return found


def written(document: Dataset) -> bytes:
    """A document's file."""
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(buffer, document)
    return buffer.getvalue()


def reread(document: Dataset) -> Dataset:
    """A document after it was written."""
    return pydicom.dcmread(io.BytesIO(written(document)))


# Identity


def test_identifiers_are_the_same_each_time_and_differ_by_study_part_and_model(
    run_dir: Path, run: Run, tmp_path: Path
) -> None:
    other = Run.open(drawn_run.write(tmp_path / "drawn", temperature=2.5))
    uids = {
        identity.uid(each, study, part) for each in (run, other) for study in ("1.2", "1.3") for part in ("report", "x")
    }
    assert len(uids) == 8
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)
    assert identity.uid(Run.open(run_dir), "1.2", "report") == identity.uid(run, "1.2", "report")


def test_a_name_in_any_script_fits_into_dicom(tmp_path: Path) -> None:
    assert identity.ascii_name(Run.open(drawn_run.write(tmp_path / "läuf\\1"))) == "l?uf?1"


# Connection


@pytest.mark.parametrize(
    ("url", "changed", "environment", "words"),
    [
        ("pacs.example/dicom-web", {}, {}, "http or https"),
        ("ftp://pacs.example", {}, {}, "http or https"),
        ("https://gateway:hunter2@pacs.example", {}, {}, "no password"),
        ("https://pacs.example", {"ca_bundle": Path("absent.pem")}, {}, "absent.pem"),
        ("https://pacs.example", {"user": "gateway"}, {}, "CXR_PACS_PASSWORD"),
        ("https://pacs.example", {"user": "a"}, {connection.PASSWORD: "hunter2", connection.TOKEN: "t"}, "one way"),
        ("http://pacs.example", {"user": "gateway"}, {connection.PASSWORD: "hunter2"}, "https only"),
        ("http://pacs.example", {}, {connection.TOKEN: "hunter2"}, "https only"),
    ],
)
def test_unsafe_connections_are_refused(
    url: str, changed: dict[str, object], environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words) as caught:
        connection.connect(url, connection.Access(**changed))
    assert "hunter2" not in str(caught.value)


class Server:
    """Answers each request with the next of some raw answers, and keeps what it was sent."""

    def __init__(self, *answers: bytes) -> None:
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/dicom-web"
        threading.Thread(target=self._serve, args=(answers,), daemon=True).start()

    def _serve(self, answers: tuple[bytes, ...]) -> None:
        for answer in answers:
            connected, _ = self._socket.accept()
            with connected:
                self.received.append(connected.recv(65536))
                connected.sendall(answer)
        self._socket.close()


def raw(status: str, body: bytes = b"") -> bytes:
    header = f"HTTP/1.1 {status}\r\nContent-Type: application/dicom+json\r\nContent-Length: {len(body)}\r\n"
    return header.encode() + b"Connection: close\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (raw("503 Service Unavailable"), connection.ServerAwayError),
        (raw("429 Too Many Requests"), connection.ServerAwayError),
        (b"", connection.ServerAwayError),
        (raw("401 Unauthorized"), connection.RefusedError),
        (raw("500 Internal Server Error"), connection.RefusedError),
        (raw("200 OK", b"<html>Please log in</html>"), connection.RefusedError),
        (raw("200 OK", b'[{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Planted"}]}}]'), connection.RefusedError),
        (raw("200 OK", b'["Planted"]'), connection.RefusedError),
    ],
)
def test_answers_are_told_apart_and_not_quoted(answer: bytes, expected: type[Exception]) -> None:
    server = Server(answer)
    with pytest.raises(expected) as caught:
        list(archive.studies(connection.connect(server.url, connection.Access()), days=1))
    assert "Planted" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_a_token_is_sent_and_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(connection.TOKEN, "a-token")
    server = Server(raw("200 OK", b"[]"), raw("204 No Content"))
    assert list(archive.studies(connection.connect(server.url, connection.Access()), days=3)) == []
    assert all(b"Authorization: Bearer a-token\r\n" in received for received in server.received)
    assert b"ModalitiesInStudy=CR" in server.received[0]
    assert b"ModalitiesInStudy=DX" in server.received[1]


def test_paging_ends_though_the_server_heeds_neither_limit_nor_offset() -> None:
    page = b'[{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00201208": {"vr": "IS", "Value": [3]}}]'
    server = Server(*[raw("200 OK", page)] * 4)
    client = connection.connect(server.url, connection.Access())
    assert list(archive.studies(client, days=1)) == [archive.ListedStudy("1.2", 3)]


# State


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.sqlite3"


def test_a_study_goes_through_its_stages_and_stays_answered(path: Path) -> None:
    with state.opened(path, model="m") as known:
        seen = known.see("1.2.3", instances=1)
        assert (seen.stage, seen.is_due(settle_seconds=0), seen.is_due(settle_seconds=60)) == ("waiting", True, False)
        known.write(replace(seen, stage=state.STORED, reasons=("a lateral view",)))
    with state.opened(path, model="m") as known:
        grown = known.see("1.2.3", instances=5)
        assert (grown.stage, grown.reasons, grown.pseudonym) == ("stored", ("a lateral view",), seen.pseudonym)
        assert not grown.is_due(settle_seconds=0)
        assert known.counts() == {"waiting": 0, "failing": 0, "stored": 1, "nothing": 0}
    with state.opened(path, model="another") as known:
        assert known.see("1.2.3", instances=5).stage == "waiting"


def test_a_study_without_a_film_is_looked_at_again_when_it_grows(path: Path) -> None:
    with state.opened(path, model="m") as known:
        known.write(replace(known.see("1.2.3", instances=1), stage=state.NOTHING, reasons=("a hip",)))
        assert known.see("1.2.3", instances=1).stage == "nothing"
        grown = known.see("1.2.3", instances=2)
        assert (grown.stage, grown.reasons) == ("waiting", ())


def test_a_study_that_ends_the_gateway_is_put_off_longer_and_longer(path: Path) -> None:
    with state.opened(path, model="m") as known:
        for attempt in range(12):
            record = known.see("1.2.3", instances=1)
            assert record.attempts == attempt
            longest = min(state.FIRST_RETRY * 2**attempt, state.LAST_RETRY)
            assert longest / 2 <= known.begin(record) <= longest
        record = known.see("1.2.3", instances=1)
        assert (record.stage, record.is_due(settle_seconds=0)) == ("failing", False)
        assert replace(record, next_try=time.time() - 1).is_due(settle_seconds=0)


def test_the_state_file_holds_no_uid_and_is_its_owners_alone(path: Path) -> None:
    with state.opened(path, model="m") as known:
        known.see("1.2.840.99.1", instances=1)
        assert path.stat().st_mode & 0o077 == 0
    assert all(b"1.2.840.99.1" not in file.read_bytes() for file in path.parent.iterdir())


def test_pseudonyms_differ_from_one_gateway_to_the_next(path: Path, tmp_path: Path) -> None:
    with state.opened(path, model="m") as one, state.opened(tmp_path / "other", model="m") as other:
        assert one.pseudonym("1.2.3") != other.pseudonym("1.2.3")


def test_only_one_gateway_uses_a_state_file_and_others_may_ask_it(path: Path) -> None:
    with state.opened(path, model="m") as known:
        record = known.see("1.2.3", instances=1)
        with pytest.raises(UserError, match="only one gateway"), state.opened(path, model="m"):
            pass
        assert state.explain(path, "1.2.3", model="m") == (record.pseudonym, record)
        assert state.explain(path, "1.2.4", model="m")[1] is None


def test_other_files_are_no_state_file(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="existing file"):
        state.explain(path, "1.2.3", model="m")
    (tmp_path / "text").write_text("not a database, though it is long enough to be read as the head of one " * 9)
    with pytest.raises(UserError, match="cannot be used as a state file"), state.opened(tmp_path / "text", model="m"):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs")) as database:
        database.execute("CREATE TABLE study (name TEXT)")
    content = (tmp_path / "theirs").read_bytes()
    with pytest.raises(UserError, match="schema version"), state.opened(tmp_path / "theirs", model="m"):
        pass
    assert (tmp_path / "theirs").read_bytes() == content


# Films, report and capture


def refused_for_no_chest_film(file: bytes) -> str:
    """The reason that the whole file gives."""
    try:
        images.decode(file)
    except images.NotAChestFilmError as error:
        return str(error)
    except images.ImageError:
        return ""
    return ""


@pytest.mark.parametrize("kind", ["dx", "cr", "hip", "film and lateral", "odd header", "broken"])
def test_the_header_alone_is_judged_as_the_whole_file(kind: str) -> None:
    for file in radiographs.study(kind, 0).files:
        with pydicom.config.disable_value_validation():
            reason = films.refused_by_header(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True))
        assert reason == refused_for_no_chest_film(file)


@pytest.mark.parametrize("kind", ["dx", "two films", "odd header"])
def test_the_report_holds_every_figure_and_the_patient_as_stated(
    kind: str, predictor: serving.Predictor, run: Run
) -> None:
    found = scored(predictor, kind)
    with pydicom.config.disable_value_validation():
        document = reread(structured_report.build_report(found, run, version=__version__))
    read = hd.sr.Comprehensive3DSR.from_dataset(document)
    groups = read.content.get_image_measurement_groups()
    for film, group in zip(found, groups, strict=True):
        prediction = film.prediction
        measured = {item.name.value: item.value for item in group.get_measurements()}
        for name, probability in prediction.probabilities.items():
            assert measured[codes.probability_code(name).value] == probability
        assert measured["ABNORMAL"] == prediction.abnormal_score
        assert (measured["THRESHOLD"], measured["SENSITIVITY"]) == (0.5, 0.95)
        assert group.source_images[0].referenced_sop_instance_uid == film.source.SOPInstanceUID
    assert [uid for *_, uid, _ in read.get_evidence()] == [film.source.SOPInstanceUID for film in found]
    assert (document.CompletionFlag, document.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    source = found[0].source
    for keyword in ("PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyInstanceUID"):
        with pydicom.config.disable_value_validation():
            assert str(document[keyword].value) == str(source[keyword].value)
    assert document.SeriesInstanceUID != source.SeriesInstanceUID


def test_a_run_without_calibration_states_no_flag(tmp_path: Path) -> None:
    run_dir = drawn_run.write(tmp_path / "drawn", temperature=None)
    found = scored(serving.load(run_dir), "dx")
    file = written(structured_report.build_report(found, Run.open(run_dir), version=__version__))
    assert b"THRESHOLD" not in file
    assert b"FLAG" not in file
    assert b"not calibrated" in file
    assert capture.draw(found[0], Run.open(run_dir), title="").shape == (capture.HEIGHT, capture.WIDTH, 3)


def test_the_capture_shows_the_most_abnormal_film_and_none_of_the_header(
    predictor: serving.Predictor, run: Run
) -> None:
    found = scored(predictor, "two films")
    document = reread(capture.build_capture(found, run, version=__version__))
    most = max(found, key=lambda film: film.prediction.abnormal_score)
    assert document.SourceImageSequence[0].ReferencedSOPInstanceUID == most.source.SOPInstanceUID
    title = f"film {found.index(most) + 1} of 2"
    np.testing.assert_array_equal(document.pixel_array, capture.draw(most, run, title=title))
    nameless = replace(most, source=Dataset())
    np.testing.assert_array_equal(document.pixel_array, capture.draw(nameless, run, title=title))


def test_the_statement_is_burnt_into_the_capture(predictor: serving.Predictor, run: Run) -> None:
    (film,) = scored(predictor, "dx")
    foot = capture.draw(film, run, title="")[-capture.FOOT :]
    drawn = (foot == np.array([0xE0, 0xA5, 0x2E], dtype=np.uint8)).all(axis=-1)
    assert drawn.sum() > 1000
    assert np.ptp(np.flatnonzero(drawn.any(axis=0))) > 600  # over a good part of the page


# Service


def gateway(client: DICOMwebClient | None, known: state.State) -> service.Gateway:
    nothing = SimpleNamespace()
    return service.Gateway(client, nothing, known, monitoring.Monitoring(), days=1, settle_seconds=0.0)


def test_a_server_that_is_away_is_waited_for_until_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    client = connection.connect(f"http://127.0.0.1:{free_port()}/dicom-web", connection.Access())
    with state.opened(None, model="m") as known, caplog.at_level(logging.INFO, "cxr_keras3.pacs"):
        work, stop = gateway(client, known), threading.Event()
        running = threading.Thread(
            target=service.work,
            args=(partial(service.pass_over, work, stop=stop),),
            kwargs={"told": work.monitoring, "stop": stop, "poll_seconds": 1.0},
        )
        running.start()
        while work.monitoring.registry.get_sample_value("cxr_pacs_failures_total", {"kind": "server away"}) < 2:
            time.sleep(0.02)
        stop.set()
        running.join(timeout=30)
        assert not running.is_alive()
    assert work.monitoring.registry.get_sample_value("cxr_pacs_server_up") == 0
    assert "the server does not answer" in caplog.text


def test_a_study_that_breaks_something_is_put_off_and_not_quoted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise ValueError("no such value: Planted^Person")

    monkeypatch.setattr(archive, "radiographs", break_down)
    with state.opened(None, model="m") as known, caplog.at_level(logging.INFO, "cxr_keras3.pacs"):
        service.handle(gateway(None, known), archive.ListedStudy("1.2.3", 1), known.see("1.2.3", instances=1))
        record = known.find("1.2.3")
    assert (record.stage, record.attempts) == ("failing", 1)
    assert record.reasons[0].startswith("ValueError in test_pacs.py, line ")
    assert "Planted" not in caplog.text
    assert "1.2.3" not in caplog.text


def test_a_server_that_goes_away_is_not_the_studys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def go_away(*_: object) -> None:
        raise connection.ServerAwayError("gone")

    monkeypatch.setattr(archive, "radiographs", go_away)
    with state.opened(None, model="m") as known:
        seen = known.see("1.2.3", instances=1)
        with pytest.raises(connection.ServerAwayError):
            service.handle(gateway(None, known), archive.ListedStudy("1.2.3", 1), seen)
        assert known.find("1.2.3") == seen


@pytest.mark.parametrize("attempts", [0, service.PATIENCE])
def test_an_image_that_is_not_given_counts_as_refused_in_the_end(
    attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = Dataset()
    header.SOPInstanceUID, header.Modality, header.BodyPartExamined, header.ViewPosition = "1.2", "DX", "CHEST", "PA"

    def give_nothing(*_: object) -> None:
        raise connection.RefusedError("the server answers with HTTP status 500")

    monkeypatch.setattr(archive, "radiographs", lambda *_: [header])
    monkeypatch.setattr(archive, "fetch", give_nothing)
    with state.opened(None, model="m") as known:
        for _ in range(attempts):
            known.begin(known.see("1.2.3", instances=1))
        service.handle(gateway(None, known), archive.ListedStudy("1.2.3", 1), known.see("1.2.3", instances=1))
        record = known.find("1.2.3")
    assert (record.stage, record.reasons) == (
        "nothing" if attempts else "failing",
        ("the server answers with HTTP status 500",),
    )


def test_the_metrics_page() -> None:
    figures, address = monitoring.Monitoring(), f"127.0.0.1:{free_port()}"
    monitoring.serve_monitoring(figures, address)
    figures.show_stages({"stored": 7})
    page = requests.get(f"http://{address}/metrics", timeout=10)
    assert page.headers["Content-Type"].startswith("text/plain")
    assert 'cxr_pacs_studies{stage="stored"} 7.0' in page.text
    with pytest.raises(UserError, match="--metrics"):
        monitoring.serve_monitoring(monitoring.Monitoring(), address)
    with pytest.raises(UserError, match="--metrics"):
        monitoring.serve_monitoring(monitoring.Monitoring(), "everywhere")


# Command


def test_help_needs_none_of_the_libraries(run_python: Callable[..., object]) -> None:
    program = "import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('cxr_keras3.pacs', run_name='__main__')"
    done = run_python("-X", "importtime", "-c", program)
    assert done.returncode == 0
    assert "--dry-run" in done.stdout
    assert not [name for name in ("keras", "highdicom", "openvino", "requests") if f" {name}\n" in done.stderr]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dicomweb", "https://pacs.example", "--state", "absent", "--explain", "1.2"), "existing file"),
        (("--dicomweb", "gopher://pacs.example"), "http or https"),
        (("--dicomweb", "http://127.0.0.1:{port}", "--dry-run"), "a server that answers"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple[str, ...], words: str, run_dir: Path) -> None:
    from cxr_keras3.pacs.__main__ import main

    filled = [argument.format(port=free_port()) for argument in arguments]
    before, level = logging.getLogger("cxr_keras3.pacs").handlers[:], logging.getLogger("cxr_keras3.pacs").level
    try:
        with warnings.catch_warnings(), pytest.raises(UserError, match=words) as caught:
            main([*filled, "--model", str(run_dir)])
    finally:
        ours = logging.getLogger("cxr_keras3.pacs")
        ours.handlers[:], ours.propagate = before, True
        ours.setLevel(level)
    assert "\n" not in str(caught.value)


# Conformance statement


def test_what_is_stored_is_what_the_conformance_statement_says(predictor: serving.Predictor, run: Run) -> None:
    found = scored(predictor, "two films")
    documents = answering.documents(found, run)
    counts = {"of a study": 1, "of a film": len(found)}
    stated = [(kind, number) for kind, number, each in conformance.STORED for _ in range(counts[each])]
    assert sorted((each.SOPClassUID, each.SeriesNumber) for each in documents) == sorted(stated)
    assert {each.file_meta.TransferSyntaxUID for each in documents} == {conformance.STORED_SYNTAX}
    assert {each.DeviceUID for each in documents} == {identity.uid(run, "device")}
    assert not [element for each in documents for element in each.iterall() if element.tag.is_private]
    _, rows = conformance.TABLES["codes"]()
    stated_codes = {value for value, *_ in rows}
    sequences = [each for document in documents for each in document.iterall() if each.VR == "SQ"]
    items = [item for sequence in sequences for item in sequence.value if "CodeValue" in item]
    named = {item.CodeValue for item in items if item.CodingSchemeDesignator == codes.SCHEME}
    assert named
    own = {codes.model_code("", run.fingerprint).value}
    for name in run.class_names:
        own |= {make(name).value for make in (codes.class_code, codes.probability_code, codes.contribution_code)}
    assert named <= stated_codes | own


def test_the_report_names_the_site_and_why_a_class_is_withheld(predictor: serving.Predictor, run: Run) -> None:
    (film,) = scored(predictor, "dx")
    said = replace(film.prediction, withheld="nothing evidences it here", site="Spital Süd")
    document = structured_report.build_report([replace(film, prediction=said)], run, version=__version__)
    (group,) = hd.sr.Comprehensive3DSR.from_dataset(reread(document)).content.get_image_measurement_groups()
    evaluated = {item.name.value: item.value for item in group.get_qualitative_evaluations()}
    assert evaluated["PREDICTED"].value == "WITHHELD"
    assert evaluated["SITE"].meaning == "Spital S?d"
    assert b"nothing evidences it here" in written(document)
