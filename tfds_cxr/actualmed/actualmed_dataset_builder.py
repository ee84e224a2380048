"""TFDS builder of the Actualmed COVID-19 films."""

from collections.abc import Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import NO_RADIOGRAPH, UNLABELLED, Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name(files)
    columns = ("patientid", "sex", "age", "finding", "view", "modality", "imagename")
    for row in layout.rows(layout.one(files, "metadata.csv"), columns):
        yield Film(
            name=row["imagename"],
            path=images.get(row["imagename"]),
            own_labels=(row["finding"],) if row["finding"] else (),
            patient=f"actualmed:{row['patientid']}",
            age=layout.number(row["age"]),
            sex=layout.sex(row["sex"]),
            view=layout.view(row["view"]) if row["modality"] == "X-ray" else NO_RADIOGRAPH,
        )


class Builder(CollectionBuilder):
    """Actualmed's films, from `metadata.csv` and `images`."""

    name = "cxr_actualmed"
    COLLECTION = Collection(
        name="actualmed",
        title="Actualmed COVID-19 Chest X-ray Dataset Initiative",
        homepage="https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
        licence="of the repository: research only; see its page",
        size="238 films of 215 patients",
        labelled_by="A radiologist's reading: COVID-19, No finding, or inconclusive, which is no label here.",
        known_wrong="Few, and all from one provider. No age and sex.",
        seen="54 of 238 real files and metadata.csv.",
        citation="Chung, Actualmed COVID-19 Chest X-ray Dataset Initiative, 2020",
        classes={"COVID-19": "COVID", "No finding": "Normal"},
        otherwise=UNLABELLED,
        layout="the folder images and the table metadata.csv, as the repository holds them",
        is_root=layout.holds("images", "metadata.csv"),
        films=_films,
    )
