"""What is asked of the archive: find (QIDO-RS), fetch (WADO-RS), store (STOW-RS). Nothing is changed or deleted."""

import datetime as dt
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from cxr_keras3.images.dicom_pixels import transfer_syntax
from cxr_keras3.pacs.connection import ArchiveClient, RefusedError, asking

Item = Mapping[str, Any]
"""A dataset as DICOM's JSON has it: tag to representation and values."""

MODALITIES = ("CR", "DX")
PAGE = 500
MOST_LISTED = 100_000
"""Most studies or work items of one pass; a server whose pages never end must not be followed for ever."""
# What tells whether an image is a frontal chest film, and where it is. The rest is dropped as it comes.
_HEADER = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "PresentationIntentType"),
    *("BodyPartExamined", "AnatomicRegionSequence", "ViewPosition", "ViewCodeSequence", "PatientOrientation"),
)
_HEADER_TAGS = frozenset(f"{Tag(keyword):08X}" for keyword in _HEADER)
_STUDY, _SERIES, _INSTANCE, _MODALITY, _INSTANCES = "0020000D", "0020000E", "00080018", "00080060", "00201208"


@dataclass(frozen=True)
class ListedStudy:
    """A study with a radiograph.

    Attributes:
        uid: ListedStudy Instance UID.
        instances: How many it has of everything, as far as the server says; grows while it arrives.
    """

    uid: str
    instances: int


def studies(client: ArchiveClient, *, days: int) -> Iterator[ListedStudy]:
    """Finds the studies of these days that hold a radiograph, each once.

    Args:
        client: From `connection.connect`.
        days: How far back their dates may lie; 0 is today.
    """
    earliest = dt.datetime.now().astimezone().date() - dt.timedelta(days=days)
    seen: set[str] = set()
    for modality in MODALITIES:
        filters = {"ModalitiesInStudy": modality, "StudyDate": f"{earliest:%Y%m%d}-"}
        page = partial(_study_page, client, filters)
        for item in pages(page, key=_STUDY, what="studies"):
            with asking("studies"):
                study = ListedStudy(str(required(item, _STUDY)), int(value(item, _INSTANCES) or 0))
            if study.uid not in seen:
                seen.add(study.uid)
                yield study


def _study_page(client: ArchiveClient, filters: dict[str, str], offset: int) -> Sequence[Item]:
    found: Sequence[Item] = client.search_for_studies(limit=PAGE, offset=offset, search_filters=filters)
    return found


def pages(page: Callable[[int], Sequence[Item]], *, key: str, what: str) -> Iterator[Item]:
    """Pages until one brings nothing new, whatever the server makes of limit and offset.

    Args:
        page: Asks for what lies after so many.
        key: Tag of the UID by which one is told from another.
        what: What is listed, in words.

    Raises:
        ServerAwayError: Where the server does not answer.
        RefusedError: Where it does not list them, or without end.
    """
    found: set[str] = set()
    offset = 0
    while True:
        with asking(what):
            items = page(offset)
            fresh = {str(required(item, key)): item for item in items}
        fresh = {uid: item for uid, item in fresh.items() if uid not in found}
        if not fresh:
            return
        yield from fresh.values()
        found |= fresh.keys()
        if len(found) > MOST_LISTED:
            raise RefusedError(f"asked for {what}, the server lists more than {MOST_LISTED:,}: it must list fewer")
        offset += len(items)


def radiographs(client: ArchiveClient, study: ListedStudy) -> list[Dataset]:
    """The headers of a study's radiographs, cut down to what is needed to choose among them, in a fixed order."""
    with asking("the series of a study"):
        series = client.search_for_series(study.uid, fields=["Modality"])
        taken = [str(required(item, _SERIES)) for item in series if value(item, _MODALITY) in MODALITIES]
    headers: dict[str, Dataset] = {}
    for uid in taken:
        with asking("the metadata of a series"):
            for header in client.retrieve_series_metadata(study.uid, uid):
                kept = {tag: value for tag, value in header.items() if tag in _HEADER_TAGS}
                *_, instance = (str(required(header, tag)) for tag in (_STUDY, _SERIES, _INSTANCE))
                headers[instance] = Dataset.from_json(kept)
    return [headers[uid] for uid in sorted(headers)]


def fetch(client: ArchiveClient, header: Dataset) -> tuple[Dataset, bytes]:
    """Fetches an image as it is stored, in its own transfer syntax: its dataset, and the file's bytes.

    Raises:
        RefusedError: Where the server gives another image than the one asked for, or none.
        ImageError: Where it is in a transfer syntax that is not read.
    """
    uids = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
    with asking("an image"):
        data = client.fetch_file(*uids)
        transfer_syntax(data)
        image = pydicom.dcmread(io.BytesIO(data))
    if (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID) != uids:
        raise RefusedError("asked for an image, the server gives another one")
    return image, data


def missing(client: ArchiveClient, documents: Sequence[Dataset]) -> list[Dataset]:
    """Those of the documents that the archive does not hold."""
    return [document for document in documents if not _holds(client, document)]


def _holds(client: ArchiveClient, document: Dataset) -> bool:
    uid = str(document.SOPInstanceUID)
    with asking("an earlier result"):
        found = client.search_for_instances(
            str(document.StudyInstanceUID), search_filters={"SOPInstanceUID": uid}, fields=["SOPInstanceUID"]
        )
    return any(value(item, _INSTANCE) == uid for item in found)


def store(client: ArchiveClient, documents: Iterable[Dataset]) -> None:
    """Stores what the archive does not hold yet, and sees to it that it then does.

    Raises:
        RefusedError: Where the archive does not hold all of them afterwards.
    """
    wanted = list(documents)
    to_store = missing(client, wanted)
    for document in to_store:
        with asking("storage of a result"):
            client.store_instances([document], study_instance_uid=str(document.StudyInstanceUID))
    if to_store and missing(client, wanted):
        raise RefusedError("asked for storage of a result, the server took it and does not hold it")


def value(item: Item, tag: str) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """The first value of an attribute; None where it has none."""
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]


def required(item: Item, tag: str) -> Any:  # noqa: ANN401 -- see above
    """The first value of an attribute that an answer must have, a UID.

    Raises:
        RefusedError: Where it has none.
    """
    found = value(item, tag)
    if found is None:
        raise RefusedError("the server lists something without its UID")
    return found
