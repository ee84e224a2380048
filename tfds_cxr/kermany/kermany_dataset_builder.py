"""TFDS builder of the films of children by Kermany and others."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tfds_cxr.collections import copies, layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath

_PERSON = re.compile(r"person\d+|NORMAL2-IM-\d+|IM-\d+")
_PARTS = ("train", "val", "test")


def _films(root: AnyPath) -> Iterator[Film]:
    known = copies.of("kermany")
    for name, path in layout.images_below(root).items():
        part, *folders = PurePosixPath(name).parts[:-1]
        if part.casefold() not in _PARTS or not folders:
            continue
        file = PurePosixPath(name).name
        kind = next((word for word in ("virus", "bacteria") if word in file), "")
        person = _PERSON.match(file)
        # The test films are of other children, numbered anew.
        numbering = "kermany:test-" if part.casefold() == "test" else "kermany:"
        yield Film(
            name=name,
            path=path,
            own_labels=(f"{folders[0].upper()} {kind}".strip(),),
            patient=f"{numbering}{person[0]}" if person else "",
            view="AP",
            database_name=known.get(f"{part.casefold()}/{folders[0].upper()}/{file}", ""),
        )


class Builder(CollectionBuilder):
    """Kermany's films, from their folders."""

    name = "cxr_kermany"
    COLLECTION = Collection(
        name="kermany",
        title="Chest X-Ray Images (Pneumonia) of Kermany et al.",
        homepage="https://data.mendeley.com/datasets/rscbjbr9sj",
        licence="CC BY 4.0",
        size="5,856 films of children of one to five years from one hospital in Guangzhou",
        labelled_by="Two physicians, a third for the test films. Virus and bacterium stand in the file names.",
        known_wrong="Its training films of virus, all but one or two, and of normal children are the database's "
        "Viral Pneumonia and 1,341 of its Normal. Those of bacteria are not in the database. Bacterial "
        "pneumonia counts as Lung_Opacity here: it has no class of its own. All are children: a model "
        "that tells age tells the collection.",
        seen="120 real files of the test part, at 224 pixels; the names of 2,684 training files.",
        citation="Kermany et al., Cell 172(5), 2018, doi:10.1016/j.cell.2018.02.010",
        classes={
            "NORMAL": "Normal",
            "PNEUMONIA virus": "Viral Pneumonia",
            "PNEUMONIA bacteria": "Lung_Opacity",
        },
        layout="the folders train, test and mostly val, each with NORMAL and PNEUMONIA",
        is_root=layout.holds("train", "test"),
        films=_films,
    )
