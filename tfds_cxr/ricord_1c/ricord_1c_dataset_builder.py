"""TFDS builder of MIDRC-RICORD-1c."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath

_PATIENT = re.compile(r"MIDRC-RICORD-1C-([\w-]+)", re.IGNORECASE)


def _films(root: AnyPath) -> Iterator[Film]:
    for name, path in layout.images_below(root).items():
        folders = (_PATIENT.fullmatch(part) for part in PurePosixPath(name).parts)
        patient = next((match[1] for match in folders if match), "")
        header = layout.header(path)
        yield Film(
            name=name,
            path=path,
            own_labels=("COVID-19",),
            patient=f"ricord:{patient}" if patient else "",
            age=layout.number(header["PatientAge"]),
            sex=layout.sex(header["PatientSex"]),
            view=layout.view(header["ViewPosition"]),
            device=layout.device(header),
        )


class Builder(CollectionBuilder):
    """RICORD-1c's films, from the folders that the NBIA Data Retriever makes."""

    name = "cxr_ricord_1c"
    COLLECTION = Collection(
        name="ricord_1c",
        title="MIDRC-RICORD-1c",
        homepage="https://doi.org/10.7937/91ah-v663",
        licence="CC BY-NC 4.0",
        size="998 films of 361 patients",
        labelled_by="A positive PCR of every patient. Radiologists graded the films; the grades are not read here.",
        known_wrong="COVID only: it tells how many are called so, not how many others are. Some films have a frame "
        "of one grey or are lateral; the list of COVID-Net leaves such out.",
        seen="Folder names, tables and DICOM attributes from others' code; no file of its own.",
        citation="Tsai et al., Radiology 299(1), 2021, doi:10.1148/radiol.2021203957",
        classes={"COVID-19": "COVID"},
        layout="folders MIDRC-RICORD-1C-*, each with studies, series and *.dcm",
        is_root=layout.holds("MIDRC-RICORD-1C-*"),
        films=_films,
    )
