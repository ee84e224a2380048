"""What a work item is told of the work: how far it is, what came of it, or why nothing did (PS3.3 B.26)."""

import datetime as dt
from collections.abc import Sequence
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr_keras3.pacs.documents import STATEMENT

NOTHING_SUITABLE = codes.DCM.ObjectTypesNotSupported
BAD_INPUT = codes.DCM.ObjectSetIncomplete
UNSPECIFIED = codes.DCM.DiscontinuedForUnspecifiedReason
"""Why an item is cancelled, of context group 9300: no film that can be scored; input that is no study; else."""

_LONGEST = 1024  # characters of a value of representation ST


def now() -> str:
    """The time, as DICOM writes it, with its offset from UTC."""
    return dt.datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z")


def progress(done: int, total: int) -> Dataset:
    """How many of a study's images have been looked at."""
    item = Dataset()
    item.ProcedureStepProgress = str(round(100 * done / total))
    item.ProcedureStepProgressDescription = f"{done} of {total} images looked at"
    return _progress(item)


def output(documents: Sequence[Dataset], *, begun: str, station: Code, archive_url: str) -> Dataset:
    """What came of the work.

    Args:
        documents: What is in the archive now, all of one study.
        begun: When the work began, from `now`.
        station: Our station name.
        archive_url: Of the DICOMweb service that has the documents.
    """
    item = Dataset()
    item.PerformedStationNameCodeSequence = [_item(station)]
    item.PerformedStationClassCodeSequence = []
    item.PerformedStationGeographicLocationCodeSequence = []
    item.PerformedProcedureStepStartDateTime = begun
    item.PerformedProcedureStepEndDateTime = now()
    item.PerformedProcedureStepDescription = "Chest film scored"
    item.CommentsOnThePerformedProcedureStep = STATEMENT
    item.PerformedWorkitemCodeSequence = [_item(codes.DCM.ComputerAidedDetection)]
    item.OutputInformationSequence = [
        _reference(list(series), archive_url) for _, series in groupby(documents, lambda each: each.SeriesInstanceUID)
    ]
    changes = Dataset()
    changes.UnifiedProcedureStepPerformedProcedureSequence = [item]
    return changes


def cancellation(code: Code, reason: str) -> Dataset:
    """Why nothing comes of the work."""
    item = Dataset()
    item.ProcedureStepCancellationDateTime = now()
    item.ReasonForCancellation = reason[:_LONGEST]
    item.ProcedureStepDiscontinuationReasonCodeSequence = [_item(code)]
    return _progress(item)


def _progress(item: Dataset) -> Dataset:
    changes = Dataset()
    changes.ProcedureStepProgressInformationSequence = [item]
    return changes


def _reference(series: Sequence[Dataset], archive_url: str) -> Dataset:
    """A series, its objects and where they are to be had."""
    references = []
    for document in series:
        reference = Dataset()
        reference.ReferencedSOPClassUID = document.SOPClassUID
        reference.ReferencedSOPInstanceUID = document.SOPInstanceUID
        references.append(reference)
    retrieval = Dataset()
    study, uid = series[0].StudyInstanceUID, series[0].SeriesInstanceUID
    retrieval.RetrieveURL = f"{archive_url}/studies/{study}/series/{uid}"
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID, item.SeriesInstanceUID = study, uid
    item.ReferencedSOPSequence = references
    item.WADORSRetrievalSequence = [retrieval]
    return item


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
