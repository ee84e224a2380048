"""What a collection is: facts, how its labels are counted among the database's classes, and a list of its films."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tfds_cxr.database import AnyPath
from tfds_cxr.labels import LABELS

OTHER_ABNORMAL = "abnormal, none of these"
UNLABELLED = "unlabelled"

CLASSES = (*LABELS, OTHER_ABNORMAL, UNLABELLED)
"""The database's classes under their own numbers, a fifth for other findings, and a sixth for films without a label."""

LATERAL = "lateral"
NO_RADIOGRAPH = "no radiograph"

_FIRST = ("COVID", "Viral Pneumonia", "Lung_Opacity", OTHER_ABNORMAL, UNLABELLED, "Normal")
"""Which class a film with labels of several counts as: the earliest of these."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """One image that a collection lists.

    Attributes:
        name: File name, or its path below the collection where names come more than once; unique within the collection.
        path: Where it is; None where the copy lacks it.
        own_labels: What its owners call it; none where they say nothing.
        patient: The person, with the collection that names them: `kermany:person7`, `nih:1248`; empty where unknown.
        age: In years; None where unknown.
        sex: "F" or "M", empty where unknown.
        view: "AP", "PA", empty where unknown; `LATERAL` and `NO_RADIOGRAPH` are left out of what is built.
        device: Maker and model of what took it, or its kind (CR, DX); empty where unknown.
        inverted: Whether air is white in the file, though the file itself does not say so.
        database_name: The database's name of it where its owners' name tells, such as "Normal-63"; else empty.
    """

    name: str
    path: AnyPath | None
    own_labels: tuple[str, ...] = ()
    patient: str = ""
    age: float | None = None
    sex: str = ""
    view: str = ""
    device: str = ""
    inverted: bool = False
    database_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection of chest films.

    Attributes:
        name: In short, as commands name it.
        title: As its owners call it.
        homepage: Where to ask for it.
        licence: Its terms.
        size: Films and patients, as published.
        labelled_by: How its labels arose.
        known_wrong: What is known to be wrong with it.
        seen: What the adapter was made from: files, tables or documents.
        citation: The article that presents it.
        classes: Its own labels to `CLASSES`.
        otherwise: The class of own labels that `classes` does not name.
        layout: What a copy must hold, in words.
        is_root: Whether a folder is the one that holds a copy.
        films: Lists the films of a copy.
    """

    name: str
    title: str
    homepage: str
    licence: str
    size: str
    labelled_by: str
    known_wrong: str
    seen: str
    citation: str
    classes: Mapping[str, str]
    otherwise: str = UNLABELLED
    layout: str
    is_root: Callable[[AnyPath], bool]
    films: Callable[[AnyPath], Iterable[Film]]

    def label(self, film: Film) -> str:
        """The class that a film counts as; of several, the first in the order of `_FIRST`."""
        found = {self.classes.get(own, self.otherwise) for own in film.own_labels} or {UNLABELLED}
        return next(name for name in _FIRST if name in found)
