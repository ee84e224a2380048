"""The official split: by person and film, the same whatever part of the database is at hand.

Each published file has its group and split in the table of `tfds_cxr.provenance`, so neither the order
nor the choice of the files present moves any of them. A file outside the table goes by a hash of its name.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfds_cxr import grouping, provenance

TRAIN_END = 0.70
"""Fraction of the images in train."""

VALIDATION_END = 0.85
"""Fraction of the images in train and validation together; test has the rest."""

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What decides an image's group and split.

    Attributes:
        label: Class, one of `tfds_cxr.labels.LABELS`.
        image_id: File name without its ending; with `label` it tells the file from every other.
        pixel_sha256: SHA-256 of the canonical pixels; equal for exact copies.
        fingerprint: From `grouping.fingerprint` on the canonical pixels, shape (144,).
    """

    label: str
    image_id: str
    pixel_sha256: str
    fingerprint: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Group of an image and the split of that group."""

    group_id: str
    split: str


def assign(records: Sequence[Record]) -> list[Assignment]:
    """Returns the group and split of each record, in the order of the records.

    Records are joined that share a group in the provenance table, have equal pixels, or are near
    duplicates. Joined records take the id and split of the alphabetically first group of the table
    among them; where the table knows none of them, the alphabetically first `label/image_id` is the id
    and its hash gives the split. So a file that joins nothing moves no other file.
    """
    if not records:
        return []
    entries = [provenance.lookup(record.label, record.image_id) for record in records]
    own_ids = [
        entry.group or f"{record.label}/{record.image_id}" for record, entry in zip(records, entries, strict=True)
    ]
    pairs = np.concatenate(
        [
            grouping.pairs_with_equal_keys(own_ids),
            grouping.pairs_with_equal_keys(record.pixel_sha256 for record in records),
            grouping.near_duplicates(np.stack([record.fingerprint for record in records])),
        ]
    )
    components = grouping.connect(len(records), pairs)

    members: dict[int, list[int]] = defaultdict(list)
    for position, component in enumerate(components):
        members[int(component)].append(position)
    assignments: dict[int, Assignment] = {}
    for component, positions in members.items():
        published = {entry.group: entry.split for entry in (entries[p] for p in positions) if entry.group}
        group_id = min(published or (own_ids[p] for p in positions))
        assignments[component] = Assignment(group_id, published.get(group_id) or split_of_group(group_id))
    return [assignments[int(component)] for component in components]


def split_of_group(group_id: str) -> str:
    """Returns the split of a group that is not in the table, by a hash of its name that never changes."""
    fraction = int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") / 2**64
    return _split_at(fraction)


def deal(sizes: Mapping[str, int]) -> dict[str, str]:
    """Returns the split of each group of one stratum, as near to 70/15/15 by images as whole groups allow.

    The groups are laid end to end, in the order of the SHA-256 of their names, on a line as long as
    their images number; the line is cut at 70 and 85 per cent and a group goes where its middle lies.
    So each cut is off by at most half a group.

    Args:
        sizes: Images of each group.
    """
    total = sum(sizes.values())
    splits, before = {}, 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        splits[group] = _split_at((before + sizes[group] / 2) / total)
        before += sizes[group]
    return splits


def _split_at(fraction: float) -> str:
    if fraction < TRAIN_END:
        return "train"
    return "validation" if fraction < VALIDATION_END else "test"
