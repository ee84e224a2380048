"""The answer to one study: its films fetched and scored, the documents made of them, and these stored."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from cxr_keras3 import images
from cxr_keras3.base.version import __version__
from cxr_keras3.pacs import archive, films
from cxr_keras3.pacs.capture import build_capture
from cxr_keras3.pacs.connection import ArchiveClient, RefusedError, ServerAwayError
from cxr_keras3.pacs.fhir import Receiver
from cxr_keras3.pacs.parametric_map import build_maps
from cxr_keras3.pacs.segmentation import build_segmentations
from cxr_keras3.pacs.structured_report import build_report
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import Predictor


class StudyError(Exception):
    """Something in a study that the gateway cannot cope with. The message holds nothing of the study."""


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


def answer(
    client: ArchiveClient,
    predictor: Predictor,
    study: archive.ListedStudy,
    *,
    patient: bool,
    before_each: Callable[[int, int], None] = lambda *_: None,
) -> StudyAnswer:
    """Fetches and scores a study's radiographs, and makes the documents of them.

    Args:
        client: The archive.
        predictor: Scores.
        study: The study.
        patient: Whether an image that the archive does not give ends the attempt, rather than count as refused.
        before_each: Called before each image with how many are done, and of how many; may end it by a `RefusedError`.

    Raises:
        ServerAwayError: Where the archive does not answer.
        RefusedError: Where it does not give what it lists.
        StudyError: Where something in the study cannot be coped with.
    """
    with guarded():
        return _answer(client, predictor, study, patient=patient, before_each=before_each)


def _answer(
    client: ArchiveClient,
    predictor: Predictor,
    study: archive.ListedStudy,
    *,
    patient: bool,
    before_each: Callable[[int, int], None],
) -> StudyAnswer:
    scored: list[films.ScoredFilm] = []
    refusals = []
    headers = archive.radiographs(client, study)
    for number, header in enumerate(headers):
        before_each(number, len(headers))
        reason = films.refused_by_header(header)
        if reason:
            refusals.append(reason)
            continue
        try:
            image, data = archive.fetch(client, header)
        except images.ImageError as error:
            refusals.append(str(error))
            continue
        except RefusedError as error:
            if patient:
                raise
            refusals.append(str(error))
            continue
        outcome = films.score_film(predictor, image, data)
        if isinstance(outcome, str):
            refusals.append(outcome)
        else:
            scored.append(outcome)
    if not scored:
        return StudyAnswer(scored, refusals, [])
    return StudyAnswer(scored, refusals, documents(scored, predictor.run))


def deliver(client: ArchiveClient, found: StudyAnswer, *, fhir: Receiver | None) -> None:
    """Stores an answer's documents, and gives the report on as FHIR resources where that is asked for.

    Raises:
        ServerAwayError: Where the archive does not answer.
        RefusedError: Where it does not take them, or the FHIR server does not.
        StudyError: Where something in the study cannot be coped with.
    """
    with guarded():
        archive.store(client, found.documents)
        if fhir and found.documents:
            fhir(found.documents[0])


def documents(scored: list[films.ScoredFilm], run: Run) -> list[Dataset]:
    """All that is stored of a study: first a report, then a capture, and of each film its lungs and its map."""
    found = [build(scored, run, version=__version__) for build in (build_report, build_capture)]
    for build_each in (build_segmentations, build_maps):
        found += build_each(scored, run, version=__version__)
    return found


@contextmanager
def guarded() -> Iterator[None]:
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
