"""TFDS builder of the RSNA Pneumonia Detection Challenge 2018."""

import json
from collections.abc import Iterator

from tfds_cxr.collections import layout, records
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, Collection, Film
from tfds_cxr.database import AnyPath

_CLASSES, _BOXES, _NIH = "stage_2_detailed_class_info.csv", "stage_2_train_labels.csv", "*dataset-mappings_2018.json"


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    named = layout.by_name(files)
    boxed = {
        row["patientId"]
        for row in layout.rows(layout.one(files, _BOXES), ("patientId", "Target"))
        if row["Target"] == "1"
    }
    classes = {
        row["patientId"]: row["class"] for row in layout.rows(layout.one(files, _CLASSES), ("patientId", "class"))
    }
    patients = _nih_patients(files)
    for rsna_id, name in classes.items():
        path = named.get(f"{rsna_id}.dcm")
        header = layout.header(path) if path else dict.fromkeys(layout.HEADER, "")
        known = records.rsna_names().get(rsna_id)
        yield Film(
            name=f"{rsna_id}.dcm",
            path=path,
            own_labels=(name, "boxes") if rsna_id in boxed else (name,),
            patient=(known.patient_id if known else "") or patients.get(rsna_id, ""),
            age=layout.number(header["PatientAge"]),
            sex=layout.sex(header["PatientSex"]),
            view=layout.view(header["ViewPosition"]),
            device=layout.device(header),
            database_name=known.image_id if known else "",
        )


def _nih_patients(files: dict[str, AnyPath]) -> dict[str, str]:
    """NIH's patient of each film, where RSNA's table of NIH's names lies in the copy."""
    found = {}
    for path in layout.every(files, _NIH):
        for row in json.loads(layout.text(path)):
            found[row["subset_img_id"]] = f"nih:{int(row['img_id'].partition('_')[0])}"
    return found


class Builder(CollectionBuilder):
    """RSNA's films, from DICOM and its two tables."""

    name = "cxr_rsna"
    COLLECTION = Collection(
        name="rsna",
        title="RSNA Pneumonia Detection Challenge 2018",
        homepage="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        licence="the challenge's rules: research, no redistribution",
        size="26,684 films, a selection from NIH ChestX-ray14",
        labelled_by="Radiologists marked opacities that may be pneumonia with boxes; a film without them is normal "
        "or has another finding. One reader for most of the training films.",
        known_wrong="A patientId names a film, not a patient: one patient has up to several dozen of them. Who is "
        "who is in RSNA's table of NIH's names (pneumonia-challenge-dataset-mappings_2018.json), read "
        "where it lies in the copy. 78 % of the films with opacity are AP, 82 % of the normal ones PA: "
        "the view tells the label. 14,863 of its films are in the database, which leaves out the third "
        "class.",
        seen="Its two tables' columns from TorchXRayVision's copies; the DICOM layout from documents; no file "
        "of its own.",
        citation="Shih et al., Radiology: Artificial Intelligence 1(1), 2019, doi:10.1148/ryai.2019180041",
        classes={
            "Lung Opacity": "Lung_Opacity",
            "boxes": "Lung_Opacity",
            "Normal": "Normal",
            "No Lung Opacity / Not Normal": OTHER_ABNORMAL,
        },
        layout=f"stage_2_train_images/*.dcm, {_CLASSES} and {_BOXES}, as Kaggle's zip holds them",
        is_root=layout.holds(_CLASSES, _BOXES),
        films=_films,
    )
