"""What leaks from training to test images: patients and groups on both sides of a split, by file names alone.

An image of unknown patient counts as not leaked, so every figure is a lower bound.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from tfds_cxr import provenance, splits
from tfds_cxr.grouping import NO_FINGERPRINT
from tfds_cxr.labels import LABELS
from tfds_cxr.provenance import Provenance

ALL = "all"


@dataclass(frozen=True, slots=True)
class Leak:
    """What of a test set leaks from its training set, for one class and source; means over splits need not be whole.

    Attributes:
        label: Class, one of `LABELS`, or "all".
        source: Recovered collection, or "all".
        test_images: Images of the test set.
        patient_known: Those whose patient is known.
        patient_in_training: Those whose patient has an image in training.
        group_in_training: Those whose group has one: patient, copy, or run of neighbours.
    """

    label: str
    source: str
    test_images: float
    patient_known: float
    patient_in_training: float
    group_in_training: float

    @property
    def share(self) -> float:
        """`patient_in_training` of `test_images`, 0..1; NaN without any."""
        return self.patient_in_training / self.test_images if self.test_images else float("nan")


def measure(train: Iterable[Provenance], test: Sequence[Provenance]) -> list[Leak]:
    """Counts what leaks, by class and source and in all.

    Args:
        train: The entries of the training images.
        test: Those of the test images.

    >>> table = provenance.load()
    >>> measure([table["Lung_Opacity-4"]], [table["Lung_Opacity-4"]])[-1].share
    1.0
    """
    train = list(train)
    patients, groups = {entry.patient_id for entry in train} - {""}, {entry.group for entry in train}
    counts: dict[tuple[str, str], Counter[str]] = {}
    for entry in test:
        for key in ((label_of(entry), entry.source), (ALL, ALL)):
            count = counts.setdefault(key, Counter())
            count["images"] += 1
            count["known"] += bool(entry.patient_id)
            count["patient"] += bool(entry.patient_id) and entry.patient_id in patients
            count["group"] += entry.group in groups
    return [
        Leak(*key, counts[key]["images"], counts[key]["known"], counts[key]["patient"], counts[key]["group"])
        for key in sorted(counts, key=_place)
    ]


def label_of(entry: Provenance) -> str:
    """The class that a published file's name begins with."""
    return entry.image_id.rpartition("-")[0]


def random_leak(shares: Sequence[int], *, seed: int, repeats: int, stratified: bool) -> list[Leak]:
    """The mean leak of random splits of the whole database, made as notebooks do.

    That is `sklearn.model_selection.train_test_split` of all images for the test set, and again of the rest where there
    is a validation set.

    Args:
        shares: Per cent of training, (validation) and test images; they add up to 100.
        seed: `random_state` of the first split; the others follow it.
        repeats: Number of splits, at least 1.
        stratified: Whether each class is split in these shares.
    """
    entries = list(provenance.load().values())
    labels = np.array([label_of(entry) for entry in entries])
    found = []
    for number in progress.track(range(repeats), description="splitting"):
        chosen = {"random_state": seed + number, "stratify": labels if stratified else None}
        rest, test = train_test_split(np.arange(len(entries)), test_size=shares[-1] / 100, **chosen)
        if len(shares) > 2:
            of_rest = {**chosen, "stratify": labels[rest] if stratified else None}
            rest, _ = train_test_split(rest, test_size=shares[1] / (shares[0] + shares[1]), **of_rest)
        found.append(measure((entries[place] for place in rest), [entries[place] for place in test]))
    return _mean(found)


def _mean(found: Sequence[Sequence[Leak]]) -> list[Leak]:
    """The mean of each count over several splits; a class and source missing from one counts as none there."""
    sums: dict[tuple[str, str], np.ndarray] = {}
    for leaks in found:
        for leak in leaks:
            numbers = np.array([getattr(leak, field.name) for field in fields(Leak)[2:]], float)
            sums[leak.label, leak.source] = sums.get((leak.label, leak.source), np.zeros(4)) + numbers
    return [Leak(*key, *(sums[key] / len(found)).tolist()) for key in sorted(sums, key=_place)]


def _place(key: tuple[str, str]) -> tuple[int, str]:
    """Classes in the order of `LABELS`, all of them last; sources by name."""
    return (*LABELS, ALL).index(key[0]), key[1]


def official_split() -> dict[str, list[Provenance]]:
    """Every published file by its split, as a build assigns it from names alone: no picture resembles another."""
    entries = list(provenance.load().values())
    assigned = splits.assign(
        [splits.Record(label_of(entry), entry.image_id, entry.image_id, NO_FINGERPRINT) for entry in entries]
    )
    found: dict[str, list[Provenance]] = {split: [] for split in splits.SPLITS}
    for entry, assignment in zip(entries, assigned, strict=True):
        found[assignment.split].append(entry)
    return found


def listed(path: Path) -> list[Provenance]:
    """The entries of the files that a list names: a name or path a line, or the first column of a CSV.

    Raises:
        UserError: Where the list cannot be read or names a file that is not of the database.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        names = [row[0].strip() for row in csv.reader(lines) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} must be a text file with a file name a line: {error}") from error
    if names and not names[0].lower().endswith(".png") and _entry(names[0]) is None:
        names = names[1:]  # the heading of a column
    found = {name: _entry(name) for name in names}
    unknown = [name for name, entry in found.items() if entry is None]
    if unknown or not names:
        given = f"{len(unknown)} others, the first is {unknown[0]!r}" if unknown else "none"
        raise UserError(f"{path} must name files of the database, such as Normal-63.png; it names {given}")
    return [entry for entry in found.values() if entry is not None]


def _entry(name: str) -> Provenance | None:
    stem = PurePosixPath(name.replace("\\", "/")).name.removesuffix(".png")
    entry = provenance.lookup(stem.rpartition("-")[0].strip(), stem)
    if not entry.group:  # the metadata sheets write NORMAL-1 for Normal-1
        entry = provenance.lookup(next((it for it in LABELS if stem.lower().startswith(it.lower())), ""), stem)
    return entry if entry.group else None


def describe(split: dict[str, list[Provenance]]) -> list[dict[str, Any]]:
    """Images of each split by class, view and sex, and its patients."""
    return [
        {
            "split": name,
            "images": len(entries),
            **{label: sum(label_of(entry) == label for entry in entries) for label in LABELS},
            **{view: sum(entry.view == view for entry in entries) for view in ("AP", "PA")},
            "women": sum(entry.sex == "F" for entry in entries),
            "men": sum(entry.sex == "M" for entry in entries),
            "patients": len({entry.patient_id for entry in entries} - {""}),
        }
        for name, entries in split.items()
    ]
