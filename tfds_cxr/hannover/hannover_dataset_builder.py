"""TFDS builder of the COVID-19 image repository of Hannover."""

from collections.abc import Iterator

from tfds_cxr.collections import copies, layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name({name: path for name, path in files.items() if layout.folder_of(name) == "png"})
    known = copies.of("hannover")
    columns = ("patient_id", "image_id", "sex", "age", "modality", "projection")
    for row in layout.rows(layout.one(files, "data.csv"), columns):
        name = f"{row['image_id']}.png"
        yield Film(
            name=name,
            path=images.get(name),
            own_labels=("COVID-19",),
            patient=f"hannover:{row['patient_id']}",
            age=layout.number(row["age"]),
            sex=layout.sex(row["sex"]),
            view=layout.view(row["projection"]),
            device=row["modality"],
            database_name=known.get(name, ""),
        )


class Builder(CollectionBuilder):
    """Hannover's films, from `png` and `data.csv`."""

    name = "cxr_hannover"
    COLLECTION = Collection(
        name="hannover",
        title="COVID-19 Image Repository, Hannover Medical School",
        homepage="https://github.com/ml-workgroup/covid-19-image-repository",
        licence="CC BY 3.0",
        size="243 films of 71 patients",
        labelled_by="A positive test of the patient; no reading of the film.",
        known_wrong="The database holds most of it at COVID-1300 to 1788, many of them cropped to the film's edge, "
        "which comparisons of whole pictures miss. Many films of few patients, in bed: 194 AP, 49 PA. No "
        "age is given.",
        seen="All 243 files and data.csv.",
        citation="Winther et al., 2020, doi:10.6084/m9.figshare.12275009",
        classes={"COVID-19": "COVID"},
        layout="the folder png and the table data.csv, as the repository holds them",
        is_root=layout.holds("png", "data.csv"),
        films=_films,
    )
