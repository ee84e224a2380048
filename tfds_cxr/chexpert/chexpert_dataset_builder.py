"""TFDS builder of CheXpert."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import LATERAL, OTHER_ABNORMAL, UNLABELLED, Collection, Film
from tfds_cxr.database import AnyPath

_FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
_UNCERTAIN = "uncertain"


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    columns = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *_FINDINGS)
    for table in ("train.csv", "valid.csv"):
        for row in layout.rows(layout.one(files, table), columns):
            name = PurePosixPath(*PurePosixPath(row["Path"]).parts[1:]).as_posix()
            stated = {finding: layout.number(row[finding].removeprefix("-")) for finding in _FINDINGS}
            sure = tuple(finding for finding in _FINDINGS if stated[finding] and not row[finding].startswith("-"))
            doubtful = any(row[finding].startswith("-") for finding in _FINDINGS)
            yield Film(
                name=name,
                path=files.get(name),
                own_labels=(*sure, _UNCERTAIN) if doubtful else sure,
                patient=f"chexpert:{layout.folder_of(name, 2).removeprefix('patient')}",
                age=layout.number(row["Age"]),
                sex=layout.sex(row["Sex"]),
                view=LATERAL if row["Frontal/Lateral"] == "Lateral" else layout.view(row["AP/PA"]),
            )


class Builder(CollectionBuilder):
    """CheXpert's frontal films, from its two tables."""

    name = "cxr_chexpert"
    COLLECTION = Collection(
        name="chexpert",
        title="CheXpert",
        homepage="https://stanfordmlgroup.github.io/competitions/chexpert/",
        licence="Stanford University's research use agreement; no redistribution",
        size="224,316 films of 65,240 patients, lateral ones among them",
        labelled_by="Language processing of the reports, with a label for doubt; radiologists for valid.csv.",
        known_wrong="Doubt counts as no label here, unless another finding is sure. A device alone is an abnormal "
        "film here. An age of 90 stands for older, and 0 for unknown.",
        seen="Its table; no image.",
        citation="Irvin et al., AAAI 2019, arXiv:1901.07031",
        classes={
            "No Finding": "Normal",
            "Lung Opacity": "Lung_Opacity",
            "Edema": "Lung_Opacity",
            "Consolidation": "Lung_Opacity",
            "Pneumonia": "Lung_Opacity",
            _UNCERTAIN: UNLABELLED,
        },
        otherwise=OTHER_ABNORMAL,
        layout="train.csv, valid.csv and the folders train and valid, as CheXpert-v1.0 and its small edition hold them",
        is_root=layout.holds("train.csv", "valid.csv"),
        films=_films,
    )
