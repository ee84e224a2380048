"""What was found of a run on whole collections: `metrics.json` of `python -m cxr_keras3.evaluate --collection`."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.run.metrics import FlagFigures
from cxr_keras3.run.site import Difference
from cxr_keras3.statistics.figures import Figure

SCHEMA_VERSION = 1
COLLECTIONS = "collections"
"""Folder, in that of a run's results, that holds the figures."""


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Films that have a view, a sex or an age in common.

    Attributes:
        films: Their number.
        flag: Abnormal against normal.
        called_covid: Share that is answered COVID.
    """

    films: int
    flag: FlagFigures
    called_covid: Figure


@dataclass(frozen=True, kw_only=True)
class LabelFigures:
    """Films of one label.

    Attributes:
        films: Their number.
        flagged: Share that is flagged as abnormal.
        recall: Share that is answered so; None of a label that the run does not know.
        called_covid: Share that is answered COVID.
        named_covid: Share to whose reader COVID is named: answered so, and not withheld.
    """

    films: int
    flagged: Figure
    recall: Figure | None
    called_covid: Figure
    named_covid: Figure


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Films of a collection that the run is not measured on.

    Attributes:
        overlaps: The database holds them.
        of_known_patients: The database holds others of their patient or group.
        trained_on: The run was trained on the collection, or on one of the same patients, and these are not held out.
        without_lungs: No lung was found on them, where the run is shown a region.
    """

    overlaps: int
    of_known_patients: int
    trained_on: int
    without_lungs: int


@dataclass(frozen=True, kw_only=True)
class CollectionMetrics:
    """A run on one collection, without what the database holds.

    Attributes:
        collection: Its name.
        title: As its owners call it.
        films: Films measured.
        groups: Of them: patients and near-duplicates.
        left_out: What is not measured.
        flag: Abnormal against normal, of the films with a label.
        by_label: Label to what is said of its films; two labels are not of the database, see
            `tfds_cxr.collections.table`.
        false_covid: Share that is answered COVID of the films that have another label.
        withheld: Share whose class is not named to a reader, of the films that are not answered Normal.
        refused: Share that the gate refuses; None where the run has no gate, as is the next.
        unlike: Share that lies farther from the training films than 99 % of the validation films.
        differences: Measure to how far the films lie from the validation films, see `cxr_keras3.run.drift`; empty where
            the run has no gate.
        by: "view", "age" and "sex" to a value, to its films; what is too few to say anything is left out.
    """

    collection: str
    title: str
    films: int
    groups: int
    left_out: LeftOut
    flag: FlagFigures
    by_label: Mapping[str, LabelFigures]
    false_covid: Figure
    withheld: Figure
    refused: Figure | None
    unlike: Figure | None
    differences: Mapping[str, Difference]
    by: Mapping[str, Mapping[str, Subset]]


@dataclass(frozen=True, kw_only=True)
class CollectionsMetrics:
    """A run on several collections.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        run: The run's name.
        created: ISO 8601 in UTC.
        fingerprints: Films of the database that pictures were compared with, of 21,165.
        internal: The flag on the run's own test split; None where it was not evaluated.
        collections: In the order they were named.
    """

    schema_version: int
    run: str
    created: str
    fingerprints: int
    internal: FlagFigures | None
    collections: tuple[CollectionMetrics, ...]
