"""TFDS builder of PadChest."""

import re
from collections.abc import Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, UNLABELLED, Collection, Film
from tfds_cxr.database import AnyPath

_OPACITIES = (
    "infiltrates", "interstitial pattern", "ground glass pattern", "reticular interstitial pattern",
    "reticulonodular interstitial pattern", "miliary opacities", "alveolar pattern", "consolidation", "air bronchogram",
    "pneumonia", "atypical pneumonia", "pulmonary edema",
)  # fmt: skip


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name(files)
    columns = (
        "ImageID", "StudyDate_DICOM", "PatientID", "PatientBirth", "PatientSex_DICOM", "Projection",
        "Manufacturer_DICOM", "Labels",
    )  # fmt: skip
    for row in layout.rows(layout.one(files, "PADCHEST*labels*.csv*"), columns):
        born, taken = layout.number(row["PatientBirth"]), layout.number(row["StudyDate_DICOM"][:4])
        yield Film(
            name=row["ImageID"],
            path=images.get(row["ImageID"]),
            own_labels=tuple(label.strip() for label in re.findall(r"'([^']*)'", row["Labels"]) if label.strip()),
            patient=f"padchest:{row['PatientID']}",
            age=taken - born if born and taken else None,
            sex=layout.sex(row["PatientSex_DICOM"]),
            view=layout.view(row["Projection"]),
            device=row["Manufacturer_DICOM"],
        )


class Builder(CollectionBuilder):
    """PadChest's frontal films, from its table and any folders of images."""

    name = "cxr_padchest"
    COLLECTION = Collection(
        name="padchest",
        title="PadChest",
        homepage="https://bimcv.cipf.es/bimcv-projects/padchest/",
        licence="a research use agreement of BIMCV; no redistribution",
        size="160,868 images of 67,625 patients, lateral ones among them",
        labelled_by="Physicians for 27 % of the reports, a network trained on those for the rest.",
        known_wrong="Some thirty files are damaged as published: delete those that the build names. The database's "
        "README names it as the source of 2,473 COVID films, with BIMCV-COVID19's address: its films are "
        "older than the disease. 16-bit pictures: their window is guessed.",
        seen="Columns and values from others' code; no table and no image.",
        citation="Bustos et al., Medical Image Analysis 66, 2020, arXiv:1901.07441",
        classes={
            "normal": "Normal",
            **dict.fromkeys(_OPACITIES, "Lung_Opacity"),
            "exclude": UNLABELLED,
            "suboptimal study": UNLABELLED,
            "unchanged": UNLABELLED,
        },
        otherwise=OTHER_ABNORMAL,
        layout="PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (or .gz) and the images, in any folders below",
        is_root=layout.holds("PADCHEST*labels*.csv*"),
        films=_films,
    )
