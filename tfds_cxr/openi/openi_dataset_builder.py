"""TFDS builder of the Indiana University chest films in Open-i."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import LATERAL, OTHER_ABNORMAL, UNLABELLED, Collection, Film
from tfds_cxr.database import AnyPath, DatabaseError

_OPACITIES = (
    "opacity", "consolidation", "infiltrate", "airspace disease", "pneumonia", "pulmonary edema", "bronchopneumonia",
    "pneumonia, viral", "lung/opacity", "markings", "interstitial diseases", "lung diseases, interstitial",
)  # fmt: skip


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name(layout.images_below(root))
    views = {
        row["filename"].partition(".")[0]: row["projection"]
        for path in layout.every(files, "indiana_projections.csv")
        for row in layout.rows(path, ("filename", "projection"))
    }
    for path in layout.every(files, "*.xml"):
        report = _report(path)
        uid = report.find("uId")
        labels = tuple({(node.text or "").split("/")[0].strip().casefold(): None for node in report.iter("major")})
        for place, image in enumerate(report.iter("parentImage")):
            image_id = image.get("id", "")
            frontal = _frontal(views, image_id.partition("_")[2], place)
            yield Film(
                name=f"{image_id}.png",
                path=images.get(f"{image_id}.png"),
                own_labels=labels,
                patient=f"openi:{uid.get('id', '') if uid is not None else layout.stem(path.name)}",
                view="" if frontal else LATERAL,
            )


def _frontal(views: dict[str, str], image_id: str, place: int) -> bool:
    """By the table of projections where the copy has one and names the image; else a report's first image."""
    return views[image_id].casefold() == "frontal" if image_id in views else place == 0


def _report(path: AnyPath) -> ET.Element:
    content = layout.text(path)
    if "<!DOCTYPE" in content or "<!ENTITY" in content:
        raise DatabaseError(f"{path.name} must be a plain report, it declares entities; restore the original")
    try:
        return ET.fromstring(content)  # noqa: S314 -- without declarations there is nothing to expand
    except ET.ParseError as error:
        raise DatabaseError(f"{path.name} must be a readable report ({error}); restore the original") from error


class Builder(CollectionBuilder):
    """Open-i's frontal films, from its reports and pictures."""

    name = "cxr_openi"
    COLLECTION = Collection(
        name="openi",
        title="Indiana University chest films in Open-i",
        homepage="https://openi.nlm.nih.gov/faq",
        licence="CC BY-NC-ND 4.0",
        size="7,470 images of 3,955 reports, a patient each; lateral ones among them",
        labelled_by="Indexers read the reports and gave MeSH terms; the word normal is one of them.",
        known_wrong="The reports do not say which image is frontal. Kaggle's table indiana_projections.csv does, and "
        "is read where it lies in the copy; else the first image of a report is taken, which is wrong "
        "now and then. No age, and sex only in the DICOM edition.",
        seen="Its 3,955 reports; no image.",
        citation="Demner-Fushman et al., JAMIA 23(2), 2016, doi:10.1093/jamia/ocv080",
        classes={
            "normal": "Normal",
            **dict.fromkeys(_OPACITIES, "Lung_Opacity"),
            "no indexing": UNLABELLED,
            "technical quality of image unsatisfactory": UNLABELLED,
        },
        otherwise=OTHER_ABNORMAL,
        layout="the folders ecgen-radiology (*.xml) and NLMCXR_png (*.png)",
        is_root=layout.holds("ecgen-radiology"),
        films=_films,
    )
