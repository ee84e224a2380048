"""The gateway at work: look for studies, answer those that are due, wait, again; until it is told to stop."""

import json
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Event

import pydicom
from pydicom.dataset import Dataset
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_random_exponential

from cxr_keras3 import images
from cxr_keras3.base.version import __version__
from cxr_keras3.pacs import archive, films
from cxr_keras3.pacs.capture import build_capture
from cxr_keras3.pacs.connection import ArchiveClient, RefusedError, ServerAwayError
from cxr_keras3.pacs.fhir import Receiver
from cxr_keras3.pacs.monitoring import Monitoring
from cxr_keras3.pacs.parametric_map import build_maps
from cxr_keras3.pacs.segmentation import build_segmentations
from cxr_keras3.pacs.state import NOTHING, STORED, State, StudyRecord
from cxr_keras3.pacs.structured_report import build_report
from cxr_keras3.run.drift import Stream
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import Predictor

LONGEST_WAIT = 60.0  # seconds between two attempts to reach a server that is away
PATIENCE = 3  # attempts in vain before an image that the server does not give counts as refused

log = logging.getLogger(__name__)


class StudyError(Exception):
    """Something in a study that the gateway cannot cope with. The message holds nothing of the study."""


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


@dataclass(frozen=True, eq=False)
class StudyAnswer:
    """What there is to say of a study.

    Attributes:
        films: Those scored.
        refusals: Why its other images were not, one line each.
        documents: What is to be stored: see `documents`; nothing where there is no film.
    """

    films: list[films.ScoredFilm]
    refusals: list[str]
    documents: list[Dataset]


def work(gateway: Gateway, *, stop: Event, poll_seconds: float) -> None:
    """Works until `stop` is set, and never gives up: a server that is away is waited for, longer and longer."""

    def note(attempt: RetryCallState) -> None:
        gateway.monitoring.server_up.set(0)
        gateway.monitoring.failures.labels("server away").inc()
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
                pass_over(gateway, stop=stop)
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
        with _guarded():
            found = answer(gateway, study, patient=record.attempts < PATIENCE)
            archive.store(gateway.client, found.documents)
            if gateway.fhir and found.documents:
                gateway.fhir(found.documents[0])
    except (ServerAwayError, RefusedError, StudyError) as error:
        if isinstance(error, ServerAwayError) and not error.has_answered:
            gateway.state.write(record)  # it is not the study's fault
            raise
        gateway.monitoring.failures.labels("study").inc()
        failing = gateway.state.find(study.uid) or record
        gateway.state.write(replace(failing, reasons=(str(error),)))
        log.warning("study %s: %s; again in %.0f s", record.pseudonym, error, delay)
        return
    stage = STORED if found.documents else NOTHING
    gateway.state.write(replace(record, stage=stage, next_try=0.0, reasons=tuple(found.refusals)))
    seconds = time.monotonic() - begun
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
        "study %s: %s, films scored: %d, images refused: %d, %.1f s",
        *(record.pseudonym, words, outcomes["scored"], outcomes["refused"], seconds),
    )


def answer(gateway: Gateway, study: archive.ListedStudy, *, patient: bool) -> StudyAnswer:
    """Fetches and scores a study's radiographs, and makes the documents of them.

    Args:
        gateway: See there.
        study: The study.
        patient: Whether an image that the archive does not give ends the attempt, rather than count as refused.
    """
    scored: list[films.ScoredFilm] = []
    refusals = []
    for header in archive.radiographs(gateway.client, study):
        reason = films.refused_by_header(header)
        if reason:
            refusals.append(reason)
            continue
        try:
            image, data = archive.fetch(gateway.client, header)
        except images.ImageError as error:
            refusals.append(str(error))
            continue
        except RefusedError as error:
            if patient:
                raise
            refusals.append(str(error))
            continue
        outcome = films.score_film(gateway.predictor, image, data)
        if isinstance(outcome, str):
            refusals.append(outcome)
        else:
            scored.append(outcome)
    if not scored:
        return StudyAnswer(scored, refusals, [])
    run = gateway.predictor.run
    return StudyAnswer(scored, refusals, documents(scored, run))


def documents(scored: list[films.ScoredFilm], run: Run) -> list[Dataset]:
    """All that is stored of a study: first a report, then a capture, and of each film its lungs and its map."""
    found = [build(scored, run, version=__version__) for build in (build_report, build_capture)]
    for build_each in (build_segmentations, build_maps):
        found += build_each(scored, run, version=__version__)
    return found


def rehearse(gateway: Gateway, *, stop: Event) -> Iterator[str]:
    """Says in lines what would be stored now, and stores nothing.

    Raises:
        ServerAwayError: Where the archive does not answer.
        RefusedError: Where it does not list its studies.
    """
    for study in archive.studies(gateway.client, days=gateway.days):
        if stop.is_set():
            return
        name = f"study {gateway.state.pseudonym(study.uid)}"
        try:
            with _guarded():
                found = answer(gateway, study, patient=False)
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


@contextmanager
def _guarded() -> Iterator[None]:
    """Lets a study's header be as it is, and hides from the log what an exception may quote of it."""
    try:
        with pydicom.config.disable_value_validation():
            yield
    except (ServerAwayError, RefusedError):
        raise
    # A header of nonsense makes pydicom and highdicom raise almost anything, in words that may hold a name.
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise StudyError(f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}") from error
