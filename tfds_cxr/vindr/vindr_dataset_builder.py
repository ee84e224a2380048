"""TFDS builder of VinDr-CXR."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, Collection, Film
from tfds_cxr.database import AnyPath

_PARTS = ("train", "test")
_READERS = 3
_MOST = 2


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name(files)
    for part in _PARTS:
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        read: Counter[str] = Counter()
        for row in layout.rows(layout.one(files, f"image_labels_{part}.csv"), ("image_id", "No finding")):
            read[row["image_id"]] += 1
            votes[row["image_id"]].update(name for name, value in row.items() if value in ("1", "1.0"))
        for image_id, found in votes.items():
            path = images.get(f"{image_id}.dicom")
            header = layout.header(path) if path else dict.fromkeys(layout.HEADER, "")
            least = _MOST if read[image_id] == _READERS else 1
            yield Film(
                name=f"{image_id}.dicom",
                path=path,
                own_labels=tuple(name for name, count in found.items() if count >= least),
                age=layout.number(header["PatientAge"]),
                sex=layout.sex(header["PatientSex"]),
                view=layout.view(header["ViewPosition"]) or "PA",
                device=layout.device(header),
            )


class Builder(CollectionBuilder):
    """VinDr's films, from DICOM and its readers' tables."""

    name = "cxr_vindr"
    COLLECTION = Collection(
        name="vindr",
        title="VinDr-CXR",
        homepage="https://physionet.org/content/vindr-cxr/1.0.0/",
        licence="PhysioNet Credentialed Health Data License 1.5.0; no redistribution",
        size="18,000 films, 15,000 of them for training",
        labelled_by="Three radiologists for each training film, five in consensus for each test film. A finding of "
        "two of three counts here.",
        known_wrong="No patient is given: films of one person cannot be told, but by likeness. All are PA, as its "
        "article says; many headers do not say so. Many ages are 0 or missing.",
        seen="Names, columns and values from others' code and Kaggle's edition of the table; no image.",
        citation="Nguyen et al., Scientific Data 9, 2022, doi:10.1038/s41597-022-01498-w",
        classes={
            "No finding": "Normal",
            "Lung Opacity": "Lung_Opacity",
            "Consolidation": "Lung_Opacity",
            "Infiltration": "Lung_Opacity",
            "Pneumonia": "Lung_Opacity",
        },
        otherwise=OTHER_ABNORMAL,
        layout="train/*.dicom, test/*.dicom and annotations/image_labels_{train,test}.csv, as PhysioNet holds them",
        is_root=layout.holds("annotations", "train", "test"),
        films=_films,
    )
