"""The gateway at work: look for studies, answer those that are due, wait, again; until it is told to stop."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_random_exponential

from cxr_keras3.pacs import archive
from cxr_keras3.pacs.answering import StudyAnswer, StudyError, answer, deliver, guarded
from cxr_keras3.pacs.connection import ArchiveClient, RefusedError, ServerAwayError
from cxr_keras3.pacs.fhir import Receiver
from cxr_keras3.pacs.monitoring import Monitoring
from cxr_keras3.pacs.state import NOTHING, STORED, State, StudyRecord
from cxr_keras3.run.drift import Stream
from cxr_keras3.serving import Predictor

LONGEST_WAIT = 60.0  # seconds between two attempts to reach a server that is away
PATIENCE = 3  # attempts in vain before an image that the server does not give counts as refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Gateway:
    """All that the work needs.

    Attributes:
        client: The archive.
        predictor: Scores.
        state: What was done before.
        monitoring: What is told of it.
        days: How far back the studies' dates may lie.
        settle_seconds: How long a study must not have grown.
        fhir: Takes each report as FHIR resources, once it is stored; None where nothing does.
    """

    client: ArchiveClient
    predictor: Predictor
    state: State
    monitoring: Monitoring
    days: int
    settle_seconds: float
    fhir: Receiver | None = None

    @cached_property
    def stream(self) -> Stream:
        """The films scored since the gateway started."""
        return Stream(self.predictor.run)


def work(one_pass: Callable[[], None], *, told: Monitoring, stop: Event, poll_seconds: float) -> None:
    """Works until `stop` is set, and never gives up: a server that is away is waited for, longer and longer.

    Args:
        one_pass: Goes once through all that there is to do, such as `pass_over`.
        told: Is told when a server is away.
        stop: Ends it.
        poll_seconds: Between two passes.
    """

    def note(attempt: RetryCallState) -> None:
        told.server_up.set(0)
        told.failures.labels("server away").inc()
        error = attempt.outcome.exception() if attempt.outcome else None
        log.warning("%s; next attempt in %.1f s", error, attempt.next_action.sleep if attempt.next_action else 0)

    while not stop.is_set():
        for attempt in Retrying(
            retry=retry_if_exception_type((ServerAwayError, RefusedError)),
            wait=wait_random_exponential(multiplier=1.0, max=LONGEST_WAIT),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=note,
            retry_error_callback=lambda _: None,
        ):
            with attempt:
                one_pass()
        stop.wait(poll_seconds)


def pass_over(gateway: Gateway, *, stop: Event) -> None:
    """Goes through all studies once and answers those that are due.

    Raises:
        ServerAwayError: Where the archive goes away; what is left is done in the next pass.
        RefusedError: Where it does not list its studies.
    """
    found = list(archive.studies(gateway.client, days=gateway.days))
    gateway.monitoring.server_up.set(1)
    records = [gateway.state.see(study.uid, instances=study.instances) for study in found]
    for study, record in zip(found, records, strict=True):
        if stop.is_set():
            return
        if record.is_due(settle_seconds=gateway.settle_seconds):
            handle(gateway, study, record)
        gateway.monitoring.show_stages(gateway.state.counts())
    gateway.monitoring.last_pass.set_to_current_time()


def handle(gateway: Gateway, study: archive.ListedStudy, record: StudyRecord) -> None:
    """Answers one study and notes what became of it.

    Raises:
        ServerAwayError: Where the archive goes away; the study is as if untouched. One that only puts off what is asked
            of this study holds up no other.
    """
    begun = time.monotonic()
    delay = gateway.state.begin(record)
    try:
        found = answer(gateway.client, gateway.predictor, study, patient=record.attempts < PATIENCE)
        deliver(gateway.client, found, fhir=gateway.fhir)
    except (ServerAwayError, RefusedError, StudyError) as error:
        if isinstance(error, ServerAwayError) and not error.has_answered:
            gateway.state.write(record)  # it is not the study's fault
            raise
        note_failure(gateway, f"study {record.pseudonym}", gateway.state.find(study.uid) or record, error, delay)
        return
    stage = STORED if found.documents else NOTHING
    gateway.state.write(replace(record, stage=stage, next_try=0.0, reasons=tuple(found.refusals)))
    note_answer(gateway, f"study {record.pseudonym}", found, seconds=time.monotonic() - begun)


def note_failure(gateway: Gateway, name: str, failing: StudyRecord, error: Exception, delay: float) -> None:
    """Notes an attempt in vain, and says in how many seconds the next is due."""
    gateway.monitoring.failures.labels("study").inc()
    gateway.state.write(replace(failing, reasons=(str(error),)))
    log.warning("%s: %s; again in %.0f s", name, error, delay)


def note_answer(gateway: Gateway, name: str, found: StudyAnswer, *, seconds: float) -> None:
    """Tells figures and log of an answer."""
    gateway.monitoring.study_seconds.observe(seconds)
    outcomes = {
        "scored": len(found.films),
        "flagged": sum(film.prediction.flag is True for film in found.films),
        "refused": len(found.refusals),
    }
    for outcome, count in outcomes.items():
        gateway.monitoring.films.labels(outcome).inc(count)
    for film in found.films:
        gateway.stream.add(distance=film.prediction.distance, score=film.prediction.abnormal_score)
    if found.films:
        gateway.monitoring.show_drift(gateway.stream)
    words = "report, heat map and lungs stored" if found.documents else "nothing to report"
    log.info(
        "%s: %s, films scored: %d, images refused: %d, %.1f s",
        *(name, words, outcomes["scored"], outcomes["refused"], seconds),
    )


def rehearse(gateway: Gateway, studies: Iterable[archive.ListedStudy], *, stop: Event) -> Iterator[str]:
    """Says in lines what would be stored of some studies now, and stores nothing.

    Raises:
        ServerAwayError: Where the archive does not answer.
        RefusedError: Where it does not list its studies.
    """
    for study in studies:
        if stop.is_set():
            return
        name = f"study {gateway.state.pseudonym(study.uid)}"
        try:
            found = answer(gateway.client, gateway.predictor, study, patient=False)
            with guarded():
                missing = archive.missing(gateway.client, found.documents)
        except (RefusedError, StudyError) as error:
            yield f"{name}: {error}"
            continue
        yield f"{name}: films scored: {len(found.films)}, images refused: {len(found.refusals)}"
        for film in found.films:
            yield "  film: " + json.dumps(film.prediction.record() | {"file": name})
        yield from (f"  refused: {reason}" for reason in found.refusals)
        for document in found.documents:
            verb = "would store" if document in missing else "already there:"
            yield f"  {verb} {document.Modality} {document.SOPInstanceUID}"
