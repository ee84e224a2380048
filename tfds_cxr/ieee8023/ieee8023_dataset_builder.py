"""TFDS builder of the COVID-19 image data collection of Cohen and others."""

from collections.abc import Iterator

from tfds_cxr.collections import copies, layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import NO_RADIOGRAPH, OTHER_ABNORMAL, UNLABELLED, Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    folder = {name: path for name, path in files.items() if layout.folder_of(name)}
    images = layout.by_name(folder)
    known = copies.of("ieee8023")
    columns = ("patientid", "sex", "age", "finding", "view", "modality", "filename")
    for row in layout.rows(layout.one(files, "metadata.csv"), columns):
        name = row["filename"]
        yield Film(
            name=name,
            path=images.get(name),
            own_labels=tuple(part for part in row["finding"].split("/") if part),
            patient=f"ieee8023:{row['patientid']}",
            age=layout.number(row["age"]),
            sex=layout.sex(row["sex"]),
            view=layout.view(row["view"]) if row["modality"] == "X-ray" else NO_RADIOGRAPH,
            database_name=known.get(name, ""),
        )


class Builder(CollectionBuilder):
    """ieee8023's films, from `metadata.csv` and `images`."""

    name = "cxr_ieee8023"
    COLLECTION = Collection(
        name="ieee8023",
        title="COVID-19 Image Data Collection (ieee8023/covid-chestxray-dataset)",
        homepage="https://github.com/ieee8023/covid-chestxray-dataset",
        licence="of each image, in metadata.csv; many CC BY-NC-SA",
        size="950 images of some 470 patients, CT and lateral films among them",
        labelled_by="What the article or case report that printed the film says of the patient.",
        known_wrong="A compilation of compilations: it holds films of SIRM, Eurorad, Radiopaedia and Hannover. "
        "Printed pictures: arrows, letters, panels and JPEG at any size. Other viruses than SARS-CoV-2 "
        "(SARS, MERS, influenza) count as Viral Pneumonia here, bacteria and fungi as Lung_Opacity.",
        seen="60 real files; the columns and values of metadata.csv from TorchXRayVision and the repository's "
        "documents.",
        citation="Cohen et al., arXiv:2006.11988, 2020",
        classes={
            "COVID-19": "COVID",
            "Viral": "Viral Pneumonia",
            "SARS": "Viral Pneumonia",
            "MERS-CoV": "Viral Pneumonia",
            "Influenza": "Viral Pneumonia",
            "H1N1": "Viral Pneumonia",
            "Varicella": "Viral Pneumonia",
            "Herpes": "Viral Pneumonia",
            "Pneumonia": "Lung_Opacity",
            "Tuberculosis": OTHER_ABNORMAL,
            "No Finding": "Normal",
            "todo": UNLABELLED,
            "Unknown": UNLABELLED,
        },
        otherwise="Lung_Opacity",
        layout="the folder images and the table metadata.csv, as the repository holds them",
        is_root=layout.holds("images", "metadata.csv"),
        films=_films,
    )
