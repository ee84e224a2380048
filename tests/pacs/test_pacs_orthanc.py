"""The gateway against a real Orthanc."""

import io
import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import highdicom as hd
import numpy as np
import pydicom
import pytest

from cxr_keras3 import serving
from cxr_keras3.pacs import answering, archive, capture, codes, connection, monitoring, parametric_map, service, state
from cxr_keras3.run.folder import Run
from tests import gateway, hospital, orthanc, radiographs, tls_proxy

pytestmark = pytest.mark.pacs

STUDIES = [radiographs.study(kind, number) for number, kind in enumerate(radiographs.KINDS)]
WITH_FILMS = [study for study in STUDIES if study.films]
SECRETS = (*radiographs.PLANTED, *(study.uid for study in STUDIES))
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if reason := orthanc.unavailable():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def gated_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gateway.write_gated_run(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[orthanc.Orthanc]:
    with orthanc.running(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture(scope="module")
def tormented(gated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Twelve studies answered while the gateway was killed twice and the server restarted once."""
    folder = tmp_path_factory.mktemp("tormented")
    with orthanc.running(folder / "orthanc") as server:
        server.store([file for study in STUDIES for file in study.files])
        originals = server.digests()
        with gateway.Gateway(folder, dicomweb=server.dicomweb, run_dir=gated_run) as served:
            gateway.torment(served, server, results=2 * len(WITH_FILMS), kills=2, restarts=1, seed=1)
            gateway.until_done(served, stored=len(WITH_FILMS), others=3)
            code = served.end(signal.SIGTERM)
        kept = [served.log, *folder.glob("state.sqlite3*")]
        yield SimpleNamespace(server=server, originals=originals, code=code, log=served.log, kept=kept)


def test_each_chest_study_gets_exactly_one_report_one_capture_and_its_lungs(tormented: SimpleNamespace) -> None:
    found = tormented.server.counts()
    for study in STUDIES:
        expected = 1 if study.films else 0
        stored = tuple(found[study.uid][modality] for modality in ("SR", "OT", "SEG"))
        assert stored == (expected, expected + study.films, study.films), study.kind  # a map is of modality OT, too
    assert tormented.code == 0


def test_originals_are_untouched(tormented: SimpleNamespace) -> None:
    now = tormented.server.digests()
    assert {name: now[name] for name in tormented.originals} == tormented.originals
    assert len(now) == len(tormented.originals) + sum(2 + 2 * study.films for study in WITH_FILMS)


def test_no_log_and_no_state_file_holds_an_identifier(tormented: SimpleNamespace) -> None:
    assert tormented.log in tormented.kept
    assert len(tormented.kept) >= 3
    assert gateway.kept_secrets(tormented.kept, SECRETS) == []
    assert "report, heat map and lungs stored" in tormented.log.read_text()


def test_the_report_says_what_predict_says(tormented: SimpleNamespace, gated_run: Path, tmp_path: Path) -> None:
    predictor = serving.load(gated_run)
    reports = tormented.server.files("SR")
    for study in WITH_FILMS:
        said = {
            prediction.sop_instance_uid: prediction
            for file in study.files
            for prediction in predictor.predict([file], batch_size=1)
            if prediction.accepted
        }
        (file,) = reports[study.uid]
        (tmp_path / "report.dcm").write_bytes(file)
        command = ["dsrdump", "+Pl", "+Pu", str(tmp_path / "report.dcm")]
        dump = subprocess.run(command, capture_output=True, check=True, encoding="latin-1")
        assert (dump.stderr == "") == (study.kind != "odd header")  # of which it warns
        report = hd.sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(file)))
        groups = report.content.get_image_measurement_groups()
        assert len(groups) == len(said) == study.films
        for group, text in zip(groups, dump.stdout.split("Measurement Group")[1:], strict=True):
            (source,) = group.source_images
            prediction = said[source.referenced_sop_instance_uid]
            measured = {item.name.meaning: item.value for item in group.get_measurements()}
            evaluated = [(item.name.value, item.value.meaning) for item in group.get_qualitative_evaluations()]
            for name, probability in prediction.probabilities.items():
                assert measured[f"Probability of the class {name}"] == probability
                (dumped,) = re.findall(rf'"Probability of the class {name}"\)="([^"]+)"', text)
                assert float(dumped) == pytest.approx(probability, rel=1e-9)
            assert ("PREDICTED", codes.WITHHELD.meaning if prediction.withheld else prediction.predicted) in evaluated
            assert ("FLAG", "Yes" if prediction.flag else "No") in evaluated
            assert {value for name, value in evaluated if name == "SET90"} == set(prediction.prediction_set) or (
                ("SET90", "none of the classes") in evaluated and not prediction.prediction_set
            )
            assert "not for diagnosis" in text
            assert str(prediction.sop_instance_uid) in text


def test_the_capture_is_an_image_of_the_same_study(tormented: SimpleNamespace, tmp_path: Path) -> None:
    captures = tormented.server.files("OT", series_number=capture.SERIES_NUMBER)
    for study in WITH_FILMS:
        (file,) = captures[study.uid]
        picture, source = (pydicom.dcmread(io.BytesIO(data)) for data in (file, study.files[0]))
        assert picture.pixel_array.std() > 10
        np.testing.assert_array_equal(hd.imread(io.BytesIO(file)).pixel_array, picture.pixel_array)
        assert picture.pixel_array.shape == (picture.Rows, picture.Columns, 3)
        with pydicom.config.disable_value_validation():
            for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
                assert picture[keyword].value == source[keyword].value
        named = picture.SourceImageSequence[0].ReferencedSOPInstanceUID
        assert named in {pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID for data in study.files}
        (tmp_path / "capture.dcm").write_bytes(file)
        subprocess.run(["dcm2pnm", str(tmp_path / "capture.dcm"), str(tmp_path / "capture.pnm")], check=True)


def test_the_lungs_lie_on_the_film(tormented: SimpleNamespace, gated_run: Path) -> None:
    predictor = serving.load(gated_run)
    segmentations = tormented.server.files("SEG")
    for study in WITH_FILMS:
        sources = {pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID: data for data in study.files}
        for file in segmentations[study.uid]:
            found = hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(file)))
            (segment, *_) = [found.get_segment_description(number) for number in found.segment_numbers]
            assert segment.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
            (source,) = {uid for _, _, uid in found.get_source_image_uids()}
            film = pydicom.dcmread(io.BytesIO(sources[source]))
            assert (found.Rows, found.Columns) == (film.Rows, film.Columns)
            assert found.ContentQualification == "RESEARCH"
            (prediction,) = predictor.predict([sources[source]], batch_size=1)
            shares = prediction.lungs.mean(axis=(0, 1))
            stored = found.pixel_array.reshape(-1, found.Rows, found.Columns).mean(axis=(1, 2))
            np.testing.assert_allclose(stored, shares[shares > 0], atol=0.01)


def test_the_map_holds_what_the_model_says_of_each_place(tormented: SimpleNamespace, gated_run: Path) -> None:
    predictor = serving.load(gated_run)
    maps = tormented.server.files("OT", series_number=parametric_map.SERIES_NUMBER)
    for study in WITH_FILMS:
        sources = {pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID: data for data in study.files}
        for file in maps[study.uid]:
            found = hd.pm.ParametricMap.from_dataset(pydicom.dcmread(io.BytesIO(file)))
            source = found.SourceImageSequence[0].ReferencedSOPInstanceUID
            (prediction,) = predictor.predict([sources[source]], batch_size=1)
            expected = np.stack(list(prediction.activation_maps.values()))
            np.testing.assert_array_equal(found.pixel_array.reshape(expected.shape), expected)
            measures = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
            film = pydicom.dcmread(io.BytesIO(sources[source]))
            assert measures.PixelSpacing[0] * found.Rows == pytest.approx(film.Rows)  # which states no spacing: 1 mm
            assert measures.PixelSpacing[1] * found.Columns == pytest.approx(film.Columns)


def test_an_independent_validator_finds_no_error(tormented: SimpleNamespace, tmp_path: Path) -> None:
    """All but the studies whose own header is wrong: what it says of patient and study is handed on as it stands."""
    sound = {study.uid for study in WITH_FILMS if study.kind != "odd header"}
    path, seen = tmp_path / "document.dcm", set()
    for modality in ("SR", "OT", "SEG"):
        for uid, documents in tormented.server.files(modality).items():
            for file in documents if uid in sound else ():
                path.write_bytes(file)
                done = subprocess.run(["dciodvfy", path], capture_output=True, encoding="latin-1", check=False)
                kind, *lines = (done.stdout + done.stderr).splitlines()
                assert {line.split(" <")[0] for line in lines} <= {"Warning - Unrecognized defined term"}, lines
                seen.add(kind)
    assert seen == {"Comprehensive3DSR", "SCImage", "ParametricMap", "Segmentation"}


def test_a_lost_state_file_stores_nothing_twice(tormented: SimpleNamespace, gated_run: Path, tmp_path: Path) -> None:
    server = tormented.server
    before = server.digests()
    with gateway.Gateway(tmp_path, dicomweb=server.dicomweb, run_dir=gated_run) as again:
        again.start()
        gateway.until_done(again, stored=len(WITH_FILMS), others=3)
        assert again.end(signal.SIGINT) == 0
    assert server.digests() == before


def test_an_answer_that_was_half_stored_is_completed(server: orthanc.Orthanc, gated_run: Path) -> None:
    chosen = next(study for study in STUDIES if study.kind == "two films")
    server.store(chosen.files)
    client = connection.connect(server.dicomweb, connection.Access())
    run = Run.open(gated_run)
    with state.opened(None, model=run.fingerprint) as known:
        figures = monitoring.Monitoring()
        work = service.Gateway(client, serving.load(run), known, figures, days=1, settle_seconds=0.0)
        (study,) = archive.studies(client, days=1)
        answer = answering.answer(client, work.predictor, study, patient=True)
        archive.store(client, answer.documents[:1])  # and then the gateway was killed
        before = server.digests()
        service.pass_over(work, stop=Event())
        assert known.counts()["stored"] == 1
    after = server.digests()
    assert {name: after[name] for name in before} == before
    assert server.counts()[study.uid] == {"DX": 2, "SR": 1, "OT": 3, "SEG": 2}
    assert figures.registry.get_sample_value("cxr_pacs_films_total", {"outcome": "scored"}) == 2


def test_a_work_list_is_done_once_through_kills(server: orthanc.Orthanc, gated_run: Path, tmp_path: Path) -> None:
    chosen = [study for study in STUDIES if study.kind in ("dx", "two films", "film and lateral", "odd header", "hip")]
    server.store([file for study in chosen for file in study.files])
    with hospital.running() as place:
        items = {study.uid: place.schedule(f"1.2.3.{number}", study.uid) for number, study in enumerate(chosen)}
        options = ("--work-list", place.url, "--station", hospital.STATION)
        with gateway.Gateway(tmp_path, dicomweb=server.dicomweb, run_dir=gated_run, more=options) as served:
            gateway.torment(served, server, results=2 * 4, kills=2, restarts=0, seed=2)
            gateway.until_ended(served, list(items.values()))
            assert served.end(signal.SIGTERM) == 0
        kept = [served.log, *tmp_path.glob("state.sqlite3*")]
    found = server.counts()
    for study in chosen:
        item = items[study.uid]
        ends = [hospital.SCHEDULED, hospital.IN_PROGRESS, hospital.COMPLETED if study.films else hospital.CANCELED]
        assert item.history == ends, study.kind
        assert found[study.uid]["SR"] == (1 if study.films else 0), study.kind
        if study.films:
            assert len(item.outputs) == 2 + 2 * study.films
    secrets = (*SECRETS, *place.items, *(item.transaction or "" for item in items.values()))
    assert gateway.kept_secrets(kept, secrets) == []


def test_a_dry_run_says_what_it_would_store_and_stores_nothing(
    server: orthanc.Orthanc, gated_run: Path, tmp_path: Path, run_python: RunPython
) -> None:
    chosen = [study for study in STUDIES if study.kind in ("two films", "hip", "odd header")]
    server.store([file for study in chosen for file in study.files])
    before, state = server.digests(), tmp_path / "state"
    arguments = ("--dicomweb", server.dicomweb, "--model", gated_run, "--days", "1", "--state", state)
    done = run_python("-m", "cxr_keras3.pacs", *arguments, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("would store SR") == 2
    assert done.stdout.count("would store OT") == 2 + 3  # a capture a study, and a map a film
    films = [json.loads(line.split("film: ")[1]) for line in done.stdout.splitlines() if "film: " in line]
    assert len(films) == 3
    assert "another body part" in done.stdout
    assert not state.exists()
    assert server.digests() == before
    assert not any(secret in done.stdout + done.stderr for secret in radiographs.PLANTED)


def test_images_that_come_later_are_looked_at_where_there_was_no_film(
    server: orthanc.Orthanc, gated_run: Path, tmp_path: Path, run_python: RunPython
) -> None:
    lateral, film = next(study for study in STUDIES if study.kind == "film and lateral").files
    uid = pydicom.dcmread(io.BytesIO(film)).StudyInstanceUID
    with gateway.Gateway(tmp_path, dicomweb=server.dicomweb, run_dir=gated_run) as served:
        server.store([lateral])
        served.start()
        gateway.until_done(served, stored=0, others=1)
        server.store([film])
        gateway.until_done(served, stored=1, others=0)
        explained = run_python(
            *("-m", "cxr_keras3.pacs", "--dicomweb", server.dicomweb, "--model", gated_run),
            *("--state", served.state, "--explain", uid),
        )
    assert explained.stdout.startswith("stored, in logs ")
    assert "not a frontal one" in explained.stdout
    assert server.counts()[uid] == {"DX": 2, "SR": 1, "OT": 2, "SEG": 1}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", "key", "-out", "crt"], cwd=folder, check=True, capture_output=True)
    return folder


def test_tls_and_passwords(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crt, key = certificate / "crt", certificate / "key"
    trust, ours = {"ca_bundle": crt}, {"client_cert": crt, "client_key": key}
    access = {"AuthenticationEnabled": True, "RegisteredUsers": {"gateway": "the right one"}}
    with orthanc.running(tmp_path / "orthanc", **access) as server:
        server.store(STUDIES[0].files)
        with tls_proxy.listening(server.http_port, certificate=crt, key=key, clients=crt) as port:

            def found(password: str, **options: Path) -> list[archive.ListedStudy]:
                monkeypatch.setenv(connection.PASSWORD, password)
                arguments = dict.fromkeys(("ca_bundle", "client_cert", "client_key")) | options
                address = f"https://127.0.0.1:{port}/dicom-web/"
                return list(
                    archive.studies(connection.connect(address, connection.Access(user="gateway", **arguments)), days=1)
                )

            assert [study.uid for study in found("the right one", **trust, **ours)] == [STUDIES[0].uid]
            with pytest.raises(connection.RefusedError, match="HTTP status 401"):
                found("a wrong one", **trust, **ours)
            with pytest.raises(connection.RefusedError, match="SSLError"):
                found("the right one", **ours)
            with pytest.raises((connection.RefusedError, connection.ServerAwayError)):
                found("the right one", **trust)
