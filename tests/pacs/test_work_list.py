"""The gateway as a performer of a work list's items."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset

from cxr_keras3 import serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.pacs import (
    __main__,
    answering,
    archive,
    conformance,
    connection,
    films,
    gateway,
    identity,
    monitoring,
    performer,
    service,
    state,
    withdrawals,
)
from cxr_keras3.pacs.work_list import LostError, WorkList
from cxr_keras3.run.folder import Run
from tests import drawn_run, hospital, radiographs
from tests.hospital import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, Hospital
from tests.image_files import dicom_dataset, picture

ITEM = "1.2.3.4"
ALL_DOCUMENTS = answering.documents


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> serving.Predictor:
    return serving.load(drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn"))


@pytest.fixture
def place() -> Iterator[Hospital]:
    with hospital.running() as place:
        yield place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small object in place of all that is stored of a study, which takes its time."""

    def documents(scored: list[films.ScoredFilm], run: Run) -> list[Dataset]:
        study = str(scored[0].source.StudyInstanceUID)
        document = dicom_dataset(picture(), StudyInstanceUID=study, SeriesInstanceUID=identity.uid(run, study))
        document.preamble = bytes(128)
        document.SOPInstanceUID = identity.uid(run, study, "small")
        return [document]

    monkeypatch.setattr(answering, "documents", documents)


def perform(place: Hospital, predictor: serving.Predictor, path: Path, *, passes: int = 1) -> state.State:
    """Goes over the work list as a gateway that has just been started; what it knows afterwards, for one who asks."""
    client = connection.connect(place.url, connection.Access())
    work_list = WorkList(place.url, connection.Access().session("--work-list", place.url), hospital.STATION)
    with state.opened(path, model="m") as known:
        work = service.Gateway(client, predictor, known, monitoring.Monitoring(), days=1, settle_seconds=0.0)
        whole = performer.Performer(work, work_list, withdrawals.Withdrawals(work_list, "CXR"))
        for _ in range(passes):
            performer.pass_over(whole, stop=threading.Event())
    return known


def stage(path: Path, uid: str = ITEM) -> state.StudyRecord | None:
    return state.explain(path, uid, model="m")[1]


def hurry(path: Path) -> None:
    """Makes what is put off due."""
    with state.opened(path, model="m") as known:
        record = known.find(ITEM)
        assert record is not None
        known.write(replace(record, next_try=0.0))


def stand(place: Hospital, kind: str) -> hospital.Item:
    """A study in the archive, and an item that asks for it."""
    study = radiographs.study(kind, 0)
    place.take_in(study.files)
    return place.schedule(ITEM, study.uid)


def test_an_item_is_claimed_done_and_its_results_are_named(
    place: Hospital,
    predictor: serving.Predictor,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "documents", ALL_DOCUMENTS)
    item = stand(place, "two films")
    with caplog.at_level(logging.INFO, "cxr_keras3.pacs"):
        perform(place, predictor, path, passes=2)
    assert item.history == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert item.outputs == set(place.stored)
    assert len(place.stored) == len(set(place.stored)) == 2 + 2 * 2
    assert item.progress.ProcedureStepProgress == 100
    (performed,) = item.dataset.UnifiedProcedureStepPerformedProcedureSequence
    _, rows = conformance.TABLES["workitems"]()
    told = {keyword for when, keyword, _ in rows if when in ("while the work goes on", "before COMPLETED")}
    assert {element.keyword for element in (*performed, *item.progress)} == told
    assert stage(path).stage == "stored"
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (*radiographs.PLANTED, ITEM, radiographs.study("two films", 0).uid, item.transaction):
        assert secret not in caplog.text
        assert secret.encode() not in content


def test_a_study_that_has_its_report_gets_no_other_and_the_item_names_it(
    place: Hospital, predictor: serving.Predictor, path: Path
) -> None:
    first = stand(place, "dx")
    second = place.schedule("1.2.3.5", radiographs.study("dx", 0).uid)
    perform(place, predictor, path)
    assert len(place.stored) == 1
    assert first.outputs == second.outputs == set(place.stored)


@pytest.mark.parametrize(
    ("kind", "words"), [("hip", "no chest film"), ("broken", "no chest film"), ("ct", "no CR or DX image")]
)
def test_an_item_without_a_film_is_cancelled_with_the_reason(
    kind: str, words: str, place: Hospital, predictor: serving.Predictor, path: Path
) -> None:
    item = stand(place, kind)
    perform(place, predictor, path)
    assert item.history == [SCHEDULED, IN_PROGRESS, CANCELED]
    assert words in item.progress.ReasonForCancellation
    assert item.progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110522"
    assert (place.stored, stage(path).stage) == ([], "nothing")


@pytest.mark.parametrize("studies", [(), ("1.2", "1.3"), ("../../workitems",)])
def test_input_that_is_not_one_study_cancels_the_item(studies: tuple[str, ...], place: Hospital, path: Path) -> None:
    item = place.schedule(ITEM, *studies)
    perform(place, None, path)
    assert item.state == CANCELED
    assert item.progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110523"


def test_items_of_others_are_left_alone(place: Hospital, path: Path) -> None:
    begun = place.schedule("1.2.3.1", "1.2")
    begun.history.append(IN_PROGRESS)
    others = [
        begun,
        place.schedule("1.2.3.2", "1.2", station="ANOTHER"),
        place.schedule("1.2.3.3", "1.2", readiness="INCOMPLETE"),  # which this server lists all the same
    ]
    perform(place, None, path)
    assert [item.state for item in others] == [IN_PROGRESS, SCHEDULED, SCHEDULED]
    assert {method for method, _ in place.asked} == {"GET"}
    assert [stage(path, uid) for uid in place.items] == [None] * 3


def test_another_is_quicker_and_the_next_item_is_done(
    place: Hospital, predictor: serving.Predictor, path: Path
) -> None:
    lost = place.schedule("1.2.3.1", "1.2")
    item = stand(place, "dx")

    def be_quicker(method: str, path: str) -> None:
        if (method, path) == ("PUT", "/workitems/1.2.3.1/state") and lost.state == SCHEDULED:
            lost.history.append(IN_PROGRESS)

    place.before = be_quicker
    perform(place, predictor, path)
    assert (lost.state, item.state) == (IN_PROGRESS, COMPLETED)
    assert stage(path, "1.2.3.1") is None


@pytest.mark.parametrize(
    "moment",
    [("PUT", "state", SCHEDULED), ("POST", "studies", IN_PROGRESS), ("PUT", "state", IN_PROGRESS)],
    ids=["the claim", "storing", "completion"],
)
def test_a_killed_gateway_s_item_is_taken_up_and_done_once(
    moment: tuple[str, str, str],
    place: Hospital,
    predictor: serving.Predictor,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = stand(place, "dx")
    is_due, struck = threading.Event(), []

    def watch(asked: str, path: str) -> None:
        method, part, when = moment
        if asked == method and part in path and item.state == when and not struck:
            struck.append(path)
            is_due.set()

    place.before = watch
    send = connection._Session.send

    def send_or_die(session: requests.Session, request: requests.PreparedRequest, **settings: object) -> object:
        answer = send(session, request, **settings)
        if is_due.is_set():
            is_due.clear()
            raise KeyboardInterrupt  # the answer does not arrive, as after a kill
        return answer

    monkeypatch.setattr(connection._Session, "send", send_or_die)
    with pytest.raises(KeyboardInterrupt):
        perform(place, predictor, path)
    assert stage(path).stage == "failing"
    hurry(path)
    perform(place, predictor, path)
    assert item.state == COMPLETED
    assert item.history.count(COMPLETED) == 1
    assert len(place.stored) == 1


def test_an_item_in_hand_is_of_this_gateway_alone(place: Hospital, path: Path, tmp_path: Path) -> None:
    item = stand(place, "dx")
    place.before = lambda method, path: 500 if path.startswith("/studies") else None
    perform(place, None, path)
    assert (item.state, stage(path).stage) == (IN_PROGRESS, "failing")
    perform(place, None, tmp_path / "another")
    assert stage(tmp_path / "another") is None
    with pytest.raises(connection.RefusedError):
        WorkList(place.url, connection.Access().session("", place.url), "").finish(ITEM, "1.2.999", CANCELED)


def test_an_item_that_fails_holds_up_no_other_and_is_given_up_in_the_end(
    place: Hospital, predictor: serving.Predictor, path: Path
) -> None:
    item = stand(place, "dx")
    fine = radiographs.study("cr", 0)
    place.take_in(fine.files)
    other = place.schedule("1.2.3.9", fine.uid)
    failing = item.dataset.InputInformationSequence[0].StudyInstanceUID
    place.before = lambda method, path: 500 if failing in path else None
    perform(place, predictor, path)
    assert (item.state, other.state) == (IN_PROGRESS, COMPLETED)
    record = stage(path)
    assert (record.stage, record.attempts) == ("failing", 1)
    with state.opened(path, model="m") as known:
        known.write(replace(record, attempts=performer.MOST_ATTEMPTS, next_try=0.0))
    perform(place, predictor, path)
    assert item.state == CANCELED
    assert "given up" in item.progress.ReasonForCancellation
    assert "HTTP status 500" in item.progress.ReasonForCancellation


def test_a_request_to_cancel_is_honoured_and_nothing_is_stored(
    place: Hospital, predictor: serving.Predictor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = stand(place, "two films")
    heard = withdrawals.Withdrawals._hear

    def hear(self, message) -> None:
        heard(self, message)
        told.set()

    told = threading.Event()
    monkeypatch.setattr(withdrawals.Withdrawals, "_hear", hear)

    def fetch(client, header):
        if not told.is_set():
            place.request_cancel(ITEM)
            assert told.wait(10)
            time.sleep(0.1)  # the request itself follows what is no event
        return fetched(client, header)

    fetched = archive.fetch
    monkeypatch.setattr(archive, "fetch", fetch)
    perform(place, predictor, path, passes=2)
    assert item.history == [SCHEDULED, IN_PROGRESS, CANCELED]
    assert item.progress.ReasonForCancellation == "cancelled as was asked for"
    assert (place.stored, stage(path).stage) == ([], "nothing")


def test_an_item_that_the_server_ends_is_left(place: Hospital, predictor: serving.Predictor, path: Path) -> None:
    item = stand(place, "dx")

    def end(method: str, path: str) -> None:
        if "/instances/" in path and item.state == IN_PROGRESS:
            item.history.append(CANCELED)

    place.before = end
    perform(place, predictor, path)
    assert (item.state, place.stored, stage(path)) == (CANCELED, [], None)


def test_a_list_without_subscriptions_is_worked_on_and_that_is_said(
    place: Hospital, predictor: serving.Predictor, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    item = stand(place, "dx")
    place.before = lambda method, path: 501 if "/subscribers/" in path else None
    perform(place, predictor, path)
    assert item.state == COMPLETED
    assert "requests to cancel are not heard" in caplog.text


@pytest.mark.parametrize("channel", ["ws://elsewhere.example/x", "http://127.0.0.1/x", "ws://127.0.0.1:{port}/x"])
def test_the_channel_is_on_the_same_server_or_there_is_none(
    channel: str, place: Hospital, predictor: serving.Predictor, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    item = stand(place, "dx")
    place.channel_url = channel.format(port=place.url.rsplit(":", 1)[1])  # the last speaks HTTP
    perform(place, predictor, path)
    assert item.state == COMPLETED
    assert "requests to cancel are not heard" in caplog.text


@pytest.mark.parametrize("status", [302, 401, 500, 503])
def test_a_list_that_refuses_raises_what_the_service_waits_for(place: Hospital, path: Path, status: int) -> None:
    place.before = lambda method, path: status
    with pytest.raises((connection.RefusedError, connection.ServerAwayError)):
        perform(place, None, path)


def test_a_finished_item_stays_as_it_is(place: Hospital) -> None:
    work_list = WorkList(place.url, connection.Access().session("", place.url), hospital.STATION)
    item = place.schedule(ITEM, "1.2")
    item.history += [IN_PROGRESS, COMPLETED]
    work_list.finish(ITEM, "1.2.1", COMPLETED)  # as it is already
    with pytest.raises(LostError, match="COMPLETED by another"):
        work_list.finish(ITEM, "1.2.1", CANCELED)
    with pytest.raises(LostError, match="COMPLETED by another"):
        work_list.claim(ITEM, "1.2.1")


def test_transactions_are_proper_uids_that_no_other_gateway_can_make(path: Path, tmp_path: Path) -> None:
    with state.opened(path, model="m") as one, state.opened(tmp_path / "other", model="m") as other:
        made = one.transaction(ITEM)
        assert pydicom.uid.UID(made).is_valid
        assert made == one.transaction(ITEM) != other.transaction(ITEM)


def test_a_dry_run_claims_nothing(place: Hospital, predictor: serving.Predictor) -> None:
    item = stand(place, "dx")
    client = connection.connect(place.url, connection.Access())
    work_list = WorkList(place.url, connection.Access().session("", place.url), hospital.STATION)
    with state.opened(None, model="m") as known:
        work = service.Gateway(client, predictor, known, monitoring.Monitoring(), days=1, settle_seconds=0.0)
        lines = list(service.rehearse(work, performer.studies(work_list), stop=threading.Event()))
    assert sum("would store" in line for line in lines) == 1
    assert (item.state, place.stored) == (SCHEDULED, [])


def test_list_and_station_go_together() -> None:
    options = __main__._parse(["--dicomweb", "http://127.0.0.1:1", "--work-list", "http://127.0.0.1:1"])
    with pytest.raises(UserError, match="--work-list and --station"):
        gateway._work_list(options, connection.Access())
