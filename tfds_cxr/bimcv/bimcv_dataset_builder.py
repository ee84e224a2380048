"""TFDS builder of BIMCV-COVID19+."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath

_IMAGE = re.compile(r"(sub-S\d+)_(ses-E\d+)_.*?(?:_vp-([a-z]+))?_(cr|dx)\.png")
_LABELS = ("labels_covid*_posi.tsv", "labels_covid_posi.tsv")
_MAKER, _MODEL, _PHOTOMETRIC = "00080070", "00081090", "00280004"


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    people = {
        row["participant"]: row
        for row in layout.rows(layout.one(files, "participants.tsv"), ("participant", "age", "gender"), delimiter="\t")
    }
    findings = {
        row["ReportID"]: re.findall(r"[A-Za-z][^'\"\t,\]]*", row["Labels"])
        for path in {str(path): path for pattern in _LABELS for path in layout.every(files, pattern)}.values()
        for row in layout.rows(path, ("ReportID", "Labels"), delimiter="\t")
    }
    for name, path in layout.images_below(root).items():
        match = _IMAGE.fullmatch(PurePosixPath(name).name)
        if match is None:
            continue
        subject, session, view, kind = match.groups()
        person = people.get(subject, {})
        tags = _tags(files.get(f"{name.removesuffix('.png')}.json"))
        yield Film(
            name=PurePosixPath(name).name,
            path=path,
            own_labels=("COVID-19", *findings.get(session, ())),
            patient=f"bimcv:{subject.removeprefix('sub-')}",
            age=layout.number(person.get("age", "")),
            sex=layout.sex(person.get("gender", "")),
            view=layout.view(view or ""),
            device=" ".join(filter(None, (tags.get(_MAKER, ""), tags.get(_MODEL, "")))) or kind.upper(),
            inverted=tags.get(_PHOTOMETRIC) == "MONOCHROME1",
        )


def _tags(path: AnyPath | None) -> dict[str, str]:
    """The first value of each DICOM tag that the file beside an image gives as text."""
    if path is None:
        return {}
    found = json.loads(layout.text(path))
    values = {tag: entry.get("Value") for tag, entry in found.items() if isinstance(entry, dict)}
    return {tag: value[0] for tag, value in values.items() if value and isinstance(value[0], str)}


class Builder(CollectionBuilder):
    """BIMCV's films of patients with COVID-19, from its folders of subjects and sessions."""

    name = "cxr_bimcv"
    COLLECTION = Collection(
        name="bimcv",
        title="BIMCV-COVID19+",
        homepage="https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/",
        licence="a research use agreement of BIMCV; no redistribution",
        size="some 5,400 images of 1,311 patients in its first iterations, CT among them",
        labelled_by="A positive PCR or antibody test of the patient. Findings by language processing of the reports.",
        known_wrong="Infected, not necessarily visible, and not necessarily at the time of the film. 16-bit "
        "pictures, a part of them with air white; the file beside the image says so, and is heeded. "
        "Their window is guessed. Some films named AP or PA are lateral; a list by hand is in the code "
        "of DeGrave et al. (2021). Likely the largest part of the database's COVID: COVID-1894 to 3616.",
        seen="No file of its own; names, folders, tables and tags from others' code.",
        citation="de la Iglesia Vayá et al., arXiv:2006.01174, 2020",
        classes={"COVID-19": "COVID"},
        otherwise="COVID",
        layout="participants.tsv, derivatives/labels and the folders sub-S*/ses-E*/mod-rx",
        is_root=layout.holds("participants.tsv", "sub-S*"),
        films=_films,
    )
