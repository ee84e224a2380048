"""TFDS builder of COVID-CXNet."""

from collections.abc import Iterator

from tfds_cxr.collections import copies, layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    table = layout.every(files, "metadata.csv")
    described = {
        row["filename"]: row for path in table for row in layout.rows(path, ("filename", "patient_id", "view"))
    }
    known = copies.of("covid_cxnet")
    for name, path in layout.by_name(layout.images_below(root)).items():
        if layout.folder_of(str(path)) != "covid19":
            continue
        row = described.get(name, {})
        patient = row.get("patient_id", "")
        yield Film(
            name=name,
            path=path,
            own_labels=("COVID-19",),
            patient=f"covid_cxnet:{patient}" if patient else "",
            age=layout.number(row.get("age", "")),
            sex=layout.sex(row.get("sex", "")),
            view=layout.view(row.get("view", "")),
            database_name=known.get(name, ""),
        )


class Builder(CollectionBuilder):
    """COVID-CXNet's films, from `chest_xray_images/covid19` and `metadata.csv`."""

    name = "cxr_covid_cxnet"
    COLLECTION = Collection(
        name="covid_cxnet",
        title="COVID-CXNet",
        homepage="https://github.com/armiro/COVID-CXNet",
        licence="CC BY 4.0 by its compilers' word; the films are of many owners",
        size="some 900 films, 452 of them described, of 279 patients or more",
        labelled_by="Mostly a positive PCR, as the page or article that showed the film says.",
        known_wrong="A compilation from Twitter, Radiopaedia, SIRM, Eurorad, Hannover and ieee8023: films of one "
        "patient and copies of one film are common. Few films have a patient, and half of those "
        "described have no view.",
        seen="898 real files and metadata.csv.",
        citation="Haghanifar et al., arXiv:2006.13807, 2020",
        classes={"COVID-19": "COVID"},
        layout="the folder chest_xray_images/covid19 and the table metadata.csv, as the repository holds them",
        is_root=layout.holds("chest_xray_images"),
        films=_films,
    )
