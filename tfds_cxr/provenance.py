"""What is known of each published file: where it truly comes from, whose it is, its group and split.

The URL column of the database's own metadata does not fit its file numbers, so the table in
`provenance.csv.gz` gives the source that the images themselves show, beside the one that is claimed.
`tools/make_provenance.py` makes it; README.md says how sure each column is.
"""

import csv
import functools
import gzip
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from types import MappingProxyType

TABLE = "provenance.csv.gz"

UNKNOWN = "unknown"
"""Source of the files whose origin nothing shows; it is not guessed."""

EVIDENCE = ("pixels", "order", "block", "none")
"""How a source was recovered, the surest first: the same picture was found in the source; the file's number is the
place of a film among the sorted names of the source; the file lies in a run of numbers or names that belongs to it;
not at all."""

PATIENT_EVIDENCE = ("pixels", "order", "lettering", "none")
"""How a person was recovered: as in `EVIDENCE`; by lettering that makes pictures panels of one patient's figure."""

_SOURCE_OF_URL = {
    "bimcv.cipf.es": "bimcv",
    "eurorad.org": "eurorad",
    "github.com/armiro": "covid_cxnet",
    "github.com/ieee8023": "ieee8023",
    "github.com/ml-workgroup": "hannover",
    "kaggle.com/c/rsna-pneumonia": "rsna",
    "kaggle.com/paultimothymooney": "kermany",
    "sirm.org": "sirm",
}

_PUBLISHED_NAME = re.compile(r"(?P<label>.+?)\s*-\s*(?P<number>[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Provenance:
    """One published file.

    Attributes:
        image_id: File name without its ending, as on disk, for example `Normal-63`.
        claimed_source: Source that the database's metadata gives by its URL column.
        source: Source recovered from evidence, or "unknown".
        evidence: How `source` was recovered, one of `EVIDENCE`.
        patient_id: The person, with the collection that names them: `nih:1248`, `kermany:person7`; empty where unknown.
        patient_evidence: How `patient_id` and what follows were recovered, one of `PATIENT_EVIDENCE`.
        age: In years at the time of the film; None where unknown.
        sex: "F" or "M", empty where unknown.
        view: "AP" (mostly lying or sitting in bed) or "PA" (standing), empty where unknown.
        rsna_id: The film's name in the RSNA Pneumonia Detection Challenge, empty where it is not from there.
        nih_file: The film's name in NIH ChestX-ray14, empty where it is not from there or not known.
        group: Files of one person, copies of one film and runs of neighbours in BIMCV's block share it:
            `kermany:person23`, `COVID-129`.
        split: "train", "validation" or "test"; the same for all files of a group.

    A file that is not published has the source "unknown" and empty `group` and `split`.
    """

    image_id: str
    claimed_source: str = UNKNOWN
    source: str = UNKNOWN
    evidence: str = "none"
    patient_id: str = ""
    patient_evidence: str = "none"
    age: int | None = None
    sex: str = ""
    view: str = ""
    rsna_id: str = ""
    nih_file: str = ""
    group: str = ""
    split: str = ""


COLUMNS = tuple(field.name for field in fields(Provenance))


@functools.cache
def load() -> Mapping[str, Provenance]:
    """Returns the whole table by `image_id`: 21,165 files, ordered by class and number."""
    packed = resources.files("tfds_cxr").joinpath(TABLE).read_bytes()
    rows = csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    header = tuple(next(rows))
    if header != COLUMNS:
        raise ValueError(f"{TABLE} must have the columns {COLUMNS}, got {header}; make it anew")
    entries = (_entry(**dict(zip(COLUMNS, row, strict=True))) for row in rows)
    return MappingProxyType({entry.image_id: entry for entry in entries})


def _entry(*, age: str, **texts: str) -> Provenance:
    return Provenance(age=int(age) if age else None, **texts)


def lookup(label: str, image_id: str) -> Provenance:
    """Returns what is known of a file; nothing, with an empty `group`, where its name is not published.

    Upper and lower case and blanks do not count, so the `NORMAL-1` of the metadata sheet is found too.
    Only names of the published form match. `COVID (1)` does not: earlier releases of the database
    used that form and numbered their files differently. Nor does the made-up `COVID-phantom-1`.

    Args:
        label: Class of the file, one of `LABELS`.
        image_id: File name without its ending.
    """
    nothing = Provenance(image_id)
    match = _PUBLISHED_NAME.fullmatch(image_id.strip())
    if match is None or _plain(match["label"]) != _plain(label):
        return nothing
    return load().get(f"{label}-{match['number']}", nothing)


@functools.cache
def published_counts() -> Mapping[str, Mapping[str, int]]:
    """Returns the published images of each class by recovered source: class to source to number."""
    counts: dict[str, Counter[str]] = {}
    for row in load().values():
        counts.setdefault(row.image_id.rpartition("-")[0], Counter())[row.source] += 1
    return MappingProxyType(counts)


def short_source(url: str) -> str:
    """Returns the short name of the source behind a URL of the database's metadata, or "unknown"."""
    return next((source for part, source in _SOURCE_OF_URL.items() if part in url), UNKNOWN)


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()
