"""The database and other collections as one set to train on: each film once, and each patient in one split.

Splits follow groups, and the hash of a group's name is the same in every collection, so a patient whom two collections
name is in one split of both. What names do not tell, pictures do: copies of a film in two collections join their
patients. Where films that are so joined lie in different splits, those of the collections are not trained on.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cxr_keras3.base import progress
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.run.manifest import COLLECTIONS
from cxr_keras3.training import data
from cxr_keras3.training.data import Split
from tfds_cxr import grouping, reading
from tfds_cxr.collections import finding
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import Builder

TRAINED = ("train", "validation")
_DATABASE = ""


@dataclass(frozen=True, eq=False)
class _Film:
    """What decides whether a film is taken."""

    collection: str
    split: str
    image_id: str
    group: str
    database_name: str
    known_class: bool


@dataclass(frozen=True, eq=False)
class Mixture:
    """The database, and none or more collections beside it.

    Attributes:
        builder: Of the built database.
        collections: Of the built collections. A film that several hold is taken from the first.
    """

    builder: Builder
    collections: tuple[CollectionBuilder, ...]

    @staticmethod
    def of(builder: Builder, names: Sequence[str]) -> "Mixture":
        """The database with the collections that are built beside it.

        Raises:
            UserError: Where one is unknown or not built in the same data folder.
        """
        return _found(builder, tuple(names))

    def load(self, split: str, *, showing: Showing | None = None) -> Split:
        """Reads a split of all into memory, the database first; see `data.load_split`.

        Args:
            split: "train" or "validation". What is held out of a collection is measured by itself, see
                `cxr_keras3.evaluation.collections`.
            showing: What of each image the model is shown.
        """
        parts = [data.load_split(self.builder, split, showing=showing)]
        for builder in self.collections:
            taken = self._taken[builder.COLLECTION.name, split]
            if taken:
                parts.append(data.load_split(builder, split, showing=showing, taken=taken))
        columns = [[getattr(part, field.name) for part in parts] for field in dataclasses.fields(Split)]
        return Split(*(np.concatenate(column) for column in columns))

    @property
    def description(self) -> dict[str, Any]:
        """What a manifest says of the data, see `data.description`."""
        described = data.description(self.builder)
        if self.collections:
            described[COLLECTIONS] = {
                builder.COLLECTION.name: {
                    "version": str(builder.version),
                    "films": {split: len(self._taken[builder.COLLECTION.name, split]) for split in TRAINED},
                    "patients_of": sorted(self._patients_of[builder.COLLECTION.name]),
                }
                for builder in self.collections
            }
        return described

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this set of films from every other, as JSON can hold it."""
        described = data.description(self.builder)
        found = {key: described[key] for key in ("dataset", "version", "listing_fingerprint")}
        if self.collections:
            found[COLLECTIONS] = [
                [builder.name, str(builder.version), [[each.num_examples, each.num_bytes] for each in parts]]
                for builder in self.collections
                for parts in [builder.info.splits.values()]
            ]
        return found

    @cached_property
    def _taken(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """Collection and split to the names of the films that are trained on."""
        if not self.collections:
            return {}
        films, fingerprints = self._films
        first, settled = _joined(films, fingerprints)
        taken: dict[tuple[str, str], set[str]] = defaultdict(set)
        left_out: dict[str, Counter[str]] = defaultdict(Counter)
        for film, is_first, is_settled in zip(films, first, settled, strict=True):
            if film.collection == _DATABASE:
                continue
            reason = ""
            if not is_first:
                reason = "held by the database or a collection before it"
            elif not film.known_class:
                reason = "of no class of the database"
            elif not is_settled:
                reason = "joined to films of another split"
            elif film.split not in TRAINED:
                reason = "held out for testing"
            else:
                taken[film.collection, film.split].add(film.image_id)
            left_out[film.collection][reason] += 1
        for name, counts in left_out.items():
            told = "".join(f"; {count:,} {reason}" for reason, count in sorted(counts.items()) if reason)
            progress.say(f"{name}: {counts['']:,} films are trained or validated on{told}")
        return {
            (builder.COLLECTION.name, split): frozenset(taken[builder.COLLECTION.name, split])
            for builder in self.collections
            for split in TRAINED
        }

    @cached_property
    def _patients_of(self) -> Mapping[str, set[str]]:
        """Collection to the collections, as patients' names begin, whose patients it shows."""
        found: dict[str, set[str]] = defaultdict(set)
        for film in self._films[0]:
            found[film.collection].add(film.group.partition(":")[0])
        return found

    @cached_property
    def _films(self) -> tuple[list[_Film], np.ndarray]:
        """All films of all, the database's first, and their fingerprints, float32 (N, 144)."""
        builders: list[Builder | CollectionBuilder] = [self.builder, *self.collections]
        read = [each for builder in builders for each in _read(builder)]
        return [film for film, _ in read], np.stack([mark for _, mark in read])


@lru_cache(maxsize=1)  # training, gate and evaluation ask for the same; every film is read to find copies
def _found(builder: Builder, names: tuple[str, ...]) -> Mixture:
    data_dir: Path = builder.data_path.parents[1]  # <data_dir>/tfds_cxr/<version>
    return Mixture(builder, tuple(finding.find(name, data_dir) for name in names))


def _read(builder: Builder | CollectionBuilder) -> Iterator[tuple[_Film, np.ndarray]]:
    name = builder.COLLECTION.name if isinstance(builder, CollectionBuilder) else _DATABASE
    count = sum(info.num_examples for info in builder.info.splits.values())
    with progress.bar() as shown:
        task = shown.add_task(f"looking at the films of {name or 'the database'}", total=count)
        for split in builder.info.splits:
            for row in reading.read(builder, split, encoded=("mask",)):
                image_id = row["image_id"].decode()
                film = _Film(
                    collection=name,
                    split=split,
                    image_id=image_id,
                    group=row["group_id"].decode(),
                    database_name=row["overlaps"].decode() if name else image_id,
                    known_class=int(row["label"]) < len(LABELS),
                )
                yield film, grouping.fingerprint(row["image"][..., 0])
                shown.advance(task)


def _joined(films: Sequence[_Film], fingerprints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each film is the first of its copies, and whether all that it is joined to lie in one split: bool (N,).

    Films of one database's name, and those of different collections that look the same, are copies. Copies and films of
    one group are joined.
    """
    owners = np.array([film.collection for film in films])
    alike = grouping.near_duplicates(fingerprints)
    alike = alike[owners[alike[:, 0]] != owners[alike[:, 1]]]
    named = grouping.pairs_with_equal_keys(
        film.database_name or position  # a number is no other film's name
        for position, film in enumerate(films)
    )
    copies = grouping.connect(len(films), np.concatenate([alike, named]))
    of_first: dict[int, str] = {}
    for position, component in enumerate(copies):
        of_first.setdefault(int(component), owners[position])
    first = np.array([owner == of_first[int(component)] for owner, component in zip(owners, copies, strict=True)])
    groups = grouping.pairs_with_equal_keys(film.group for film in films)
    components = grouping.connect(len(films), np.concatenate([alike, named, groups]))
    splits: dict[int, set[str]] = defaultdict(set)
    for film, component in zip(films, components, strict=True):
        splits[int(component)].add(film.split)
    settled = np.array([len(splits[int(component)]) == 1 for component in components])
    return first, settled
