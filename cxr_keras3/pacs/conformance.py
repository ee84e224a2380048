"""The tables of the DICOM conformance statement (PS3.2), taken from what the code works with."""

from collections.abc import Callable, Sequence

from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from cxr_keras3.images import deidentification
from cxr_keras3.images.dicom_pixels import SYNTAXES
from cxr_keras3.pacs import (
    archive,
    capture,
    codes,
    connection,
    parametric_map,
    performed,
    performer,
    segmentation,
    structured_report,
    withdrawals,
    work_list,
)

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

STORED = (
    (uid.Comprehensive3DSRStorage, structured_report.SERIES_NUMBER, "of a study"),
    (uid.SecondaryCaptureImageStorage, capture.SERIES_NUMBER, "of a study"),
    (uid.SegmentationStorage, segmentation.SERIES_NUMBER, "of a film"),
    (uid.ParametricMapStorage, parametric_map.SERIES_NUMBER, "of a film"),
)
"""What the gateway stores: SOP class, number of its series, and how many: one of a study or of a film."""

STORED_SYNTAX = uid.ExplicitVRLittleEndian

_SERVICES = (
    ("QIDO-RS, studies", archive.studies),
    ("QIDO-RS, series, and WADO-RS, metadata", archive.radiographs),
    ("WADO-RS, instance", archive.fetch),
    ("QIDO-RS, instances", archive.missing),
    ("STOW-RS", archive.store),
    ("UPS-RS, search", work_list.WorkList.uids),
    ("UPS-RS, retrieve", work_list.WorkList.retrieve),
    ("UPS-RS, change state to IN PROGRESS", work_list.WorkList.claim),
    ("UPS-RS, update", work_list.WorkList.update),
    ("UPS-RS, change state to COMPLETED or CANCELED", work_list.WorkList.finish),
    ("UPS-RS, subscribe", work_list.WorkList.subscribe),
    ("notification connection, UPS Cancel Requested", withdrawals.Withdrawals.listen),
)


def _stored() -> Table:
    rows = [(kind.name, str(kind), str(number), each) for kind, number, each in STORED]
    return ("SOP class", "UID", "Series Number", "one"), rows


def _syntaxes() -> Table:
    rows = [(syntax.name, str(syntax), "read") for syntax in SYNTAXES]
    return ("transfer syntax", "UID", ""), [*rows, (STORED_SYNTAX.name, str(STORED_SYNTAX), "written")]


def _services() -> Table:
    rows = [(name, " ".join((function.__doc__ or "").split("\n\n")[0].split())) for name, function in _SERVICES]
    return ("service, as user agent", "what for"), rows


def _limits() -> Table:
    rows = [
        ("modalities searched for", ", ".join(archive.MODALITIES)),
        ("studies on a page", str(archive.PAGE)),
        ("studies or work items of one pass, at most", f"{archive.MOST_LISTED:,}"),
        ("work items on a page", str(work_list.PAGE)),
        ("attempts before a work item is cancelled", str(performer.MOST_ATTEMPTS)),
        ("bytes of an event, at most", f"{withdrawals.LARGEST_EVENT:,}"),
        ("bytes of an answer, at most", f"{connection.LARGEST_ANSWER:,}"),
        ("seconds of an answer, at most", f"{connection.LONGEST_ANSWER:.0f}"),
        ("seconds to connect, and without a byte", " and ".join(f"{seconds:.0f}" for seconds in connection.TIMEOUT)),
    ]
    return ("limit", "value"), rows


def _codes() -> Table:
    found = {value.value: value for value in vars(codes).values() if isinstance(value, Code)}
    rows = [(code.value, code.scheme_designator, code.meaning) for code in found.values()]
    made = (codes.class_code, codes.probability_code, codes.contribution_code)
    rows += [(function("CLASS").value, codes.SCHEME, function("CLASS").meaning) for function in made]
    return ("code value", "scheme", "meaning"), rows


def _deidentification() -> Table:
    rows = [("kept, where numbers", ", ".join((*deidentification.NUMBERS, "LUTData", "PixelData, decoded")))]
    words = [f"{keyword} ({', '.join(sorted(values))})" for keyword, values in deidentification.WORDS.items()]
    rows.append(("kept, where one of these", ", ".join((*words, "PatientOrientation"))))
    rows.append(("replaced, by a keyed hash", ", ".join(deidentification.REPLACED)))
    rows.append(("emptied", ", ".join(deidentification.EMPTIED)))
    rows.append(("removed", "all else, private attributes, curves, overlays and the preamble included"))
    return ("action", "attributes"), rows


def _work_items() -> Table:
    """What a work item is told, by giving the functions that tell it something to say."""
    series = Dataset()
    series.SOPClassUID, series.SOPInstanceUID = STORED[0][0], "1.2"
    series.StudyInstanceUID, series.SeriesInstanceUID = "1.2", "1.2"
    told = {
        "while the work goes on": performed.progress(1, 2),
        "before COMPLETED": performed.output([series], begun="", station=codes.NO_CLASS, archive_url=""),
        "before CANCELED": performed.cancellation(performed.UNSPECIFIED, ""),
    }
    rows = [(when, element.keyword, str(element.tag)) for when, changes in told.items() for element in _each(changes)]
    return ("when", "attribute", "tag"), rows


def _each(changes: Dataset) -> list[DataElement]:
    """The attributes of the one item that a change puts into its sequence."""
    (sequence,) = changes
    (item,) = sequence.value
    return list(item)


TABLES: dict[str, Callable[[], Table]] = {
    "stored": _stored,
    "syntaxes": _syntaxes,
    "services": _services,
    "limits": _limits,
    "codes": _codes,
    "workitems": _work_items,
    "deidentification": _deidentification,
}
"""Each table by name: its head and its rows."""
