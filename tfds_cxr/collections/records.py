"""Groups and splits the films of a collection so that patients stay whole across collections and the database."""

import functools
import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxr_keras3 import images
from tfds_cxr import grouping, png, provenance, splits
from tfds_cxr.collections import fingerprints
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import read_bytes
from tfds_cxr.preparation import Example


@dataclass(frozen=True, eq=False)
class FilmFacts:
    """What is kept in memory of a decoded film.

    Attributes:
        original_mode: Colour mode of the file.
        pixel_sha256: Of the canonical pixels.
        fingerprint: From `grouping.fingerprint`, for copies within the collection.
        overlaps: The database's film that it is, by name or by picture; empty where it is none that is known.
        evidence: "name", "picture" or empty.
    """

    original_mode: str
    pixel_sha256: str
    fingerprint: np.ndarray
    overlaps: str
    evidence: str


@dataclass(frozen=True)
class Record:
    """A film on its way into the dataset."""

    film: Film
    facts: FilmFacts
    label: str
    source: str
    group_id: str
    split: str

    def example(self, image_png: bytes, mask_png: bytes | None) -> Example:  # noqa: ARG002 -- collections have no masks
        """Key and features, as the builder declares them."""
        film = self.film
        return (
            film.name,
            {
                "image": io.BytesIO(image_png),
                "label": self.label,
                "own_labels": "|".join(film.own_labels),
                "image_id": film.name,
                "source": self.source,
                "patient_id": film.patient,
                "age": math.nan if film.age is None else film.age,
                "sex": film.sex,
                "view": film.view,
                "device": film.device,
                "group_id": self.group_id,
                "overlaps": self.facts.overlaps,
                "overlap_evidence": self.facts.evidence,
                "original_mode": self.facts.original_mode,
            },
        )


def decode(film: Film) -> tuple[bytes, None, FilmFacts] | images.ImageError:
    """The canonical image, encoded, no mask, and the film's facts; or why there are none."""
    if film.path is None:
        raise ValueError(f"{film.name} is not there to be decoded")
    try:
        data = read_bytes(film.path)
        decoded = images.decode(data)
    except images.ImageError as error:
        return error
    shown = 255 - decoded.pixels if film.inverted else decoded.pixels
    pixels = images.canonical(shown)
    name, evidence = film.database_name, "name"
    if not name:
        found, agreement = fingerprints.load().find(shown)
        name, evidence = (found, "picture") if agreement >= fingerprints.SAME_FILM else ("", "")
    facts = FilmFacts(
        decoded.original_mode,
        hashlib.sha256(pixels.tobytes()).hexdigest(),
        grouping.fingerprint(pixels[..., 0]),
        name,
        evidence,
    )
    kept = None if film.inverted else png.stripped(data)
    return kept or images.encode_png(pixels), None, facts


def assign(collection: Collection, films: Sequence[Film], facts: Sequence[FilmFacts]) -> list[Record]:
    """Groups and splits films.

    Films are joined that are of one patient, have equal pixels, are near duplicates, or are one film of the database.
    Joined films take group and split of the alphabetically first group of the database that their patient or film
    belongs to; where there is none, the alphabetically first patient or name is the group, and its hash gives the
    split. So a patient whom two collections name is in one split in both.
    """
    if not films:
        return []
    own = [film.patient or f"{collection.name}:{film.name}" for film in films]
    known = [_group_in_database(film, fact) for film, fact in zip(films, facts, strict=True)]
    pairs = np.concatenate(
        [
            grouping.pairs_with_equal_keys(group or name for name, group in zip(own, known, strict=True)),
            grouping.pairs_with_equal_keys(own),
            grouping.pairs_with_equal_keys(fact.pixel_sha256 for fact in facts),
            grouping.near_duplicates(np.stack([fact.fingerprint for fact in facts])),
        ]
    )
    members: dict[int, list[int]] = defaultdict(list)
    for position, component in enumerate(grouping.connect(len(films), pairs)):
        members[int(component)].append(position)
    groups = [""] * len(films)
    for positions in members.values():
        group = min({known[p] for p in positions} - {""} or {own[p] for p in positions})
        for position in positions:
            groups[position] = group
    return [
        Record(
            film, fact, collection.label(film), collection.name, group, database_groups().get(group) or split_of(group)
        )
        for film, fact, group in zip(films, facts, groups, strict=True)
    ]


def split_of(group: str) -> str:
    """The split of a group that the database does not have."""
    return splits.split_of_group(group)


def _group_in_database(film: Film, fact: FilmFacts) -> str:
    if fact.overlaps:
        return provenance.load()[fact.overlaps].group
    return groups_of_patients().get(film.patient, "")


@functools.cache
def database_groups() -> Mapping[str, str]:
    """The database's groups, and the split of each."""
    return {row.group: row.split for row in provenance.load().values()}


@functools.cache
def groups_of_patients() -> Mapping[str, str]:
    """The database's patients, as far as they are known, and the group of each."""
    return {row.patient_id: row.group for row in provenance.load().values() if row.patient_id}


@functools.cache
def rsna_names() -> Mapping[str, provenance.Provenance]:
    """The database's films by their name in RSNA's challenge."""
    return {row.rsna_id: row for row in provenance.load().values() if row.rsna_id}


@functools.cache
def nih_names() -> Mapping[str, provenance.Provenance]:
    """The database's films by their file name in NIH ChestX-ray14."""
    return {row.nih_file: row for row in provenance.load().values() if row.nih_file}
