"""Reads every file of the database once: decoded, made canonical, fingerprinted, grouped and split.

Groups can be known only when all images have been seen, so the encoded images wait in a temporary
file on the data disk rather than in memory, or being decoded twice. (For machines that share no such file see
`distributed`.)
"""

import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import IO, Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.base import progress
from cxr_keras3.base.concurrency import map_ahead
from tfds_cxr import database, grouping, png, provenance, splits
from tfds_cxr.database import DatabaseError, DatabaseFile

Example = tuple[str, dict[str, Any]]
Span = tuple[int, int]
"""Offset and length, in bytes, in the spool."""

MASK_SIZE = 256
NO_MASK = np.zeros((MASK_SIZE, MASK_SIZE), dtype=np.uint8)
SYNTHETIC_URL = "synthetic:"
_LOOK_AHEAD = 64  # files decoded before the one being written: enough to keep the cores busy, 20 MB at most


@dataclass(frozen=True)
class ImageFacts:
    """What is kept in memory of a decoded image: all that groups and splits depend on."""

    original_mode: str
    pixel_sha256: str
    fingerprint: np.ndarray


@dataclass(frozen=True)
class Record:
    """One image on its way into the dataset.

    Attributes:
        file: Where it came from.
        original_mode: Colour mode of the file, such as "L" or "RGB".
        claimed_source: Collection that the metadata claims, in short.
        origin: Person, age, sex, view and recovered source, as far as they are known.
        group_id: Equal for images of one patient and for near-duplicates.
        split: Where its group goes.
    """

    file: DatabaseFile
    original_mode: str
    claimed_source: str
    origin: provenance.Provenance
    group_id: str
    split: str

    def example(self, image_png: bytes, mask_png: bytes | None) -> Example:
        """Key and features, as `Builder` declares them, from what `decode` gives."""
        return (
            f"{self.file.label}/{self.file.filename}",
            {
                "image": io.BytesIO(image_png),
                "mask": io.BytesIO(mask_png or _no_mask_png()),
                "has_mask": mask_png is not None,
                "label": self.file.label,
                "image_id": self.file.image_id,
                "filename": self.file.filename,
                "claimed_source": self.claimed_source,
                "claimed_url": self.file.url,
                "source": self.origin.source,
                "patient_id": self.origin.patient_id,
                "age": math.nan if self.origin.age is None else self.origin.age,
                "sex": self.origin.sex,
                "view": self.origin.view,
                "group_id": self.group_id,
                "original_mode": self.original_mode,
            },
        )


class AnyRecord(Protocol):
    """What `Prepared` asks of a record: its split, and what goes into the dataset; see `Record`."""

    @property
    def split(self) -> str: ...  # noqa: D102 -- see `Record`

    def example(self, image_png: bytes, mask_png: bytes | None) -> Example: ...  # noqa: D102 -- see `Record`


AnyRecordType = TypeVar("AnyRecordType", bound=AnyRecord)
Source = TypeVar("Source")
Facts = TypeVar("Facts")


class Prepared(Generic[AnyRecordType]):
    """All records, with the spool that holds their encoded images and masks.

    Attributes:
        records: In the order of the files.
    """

    def __init__(self, records: list[AnyRecordType], spans: list[tuple[Span, Span | None]], spool: IO[bytes]) -> None:
        self.records = records
        self._spans = spans
        self._spool = spool

    def examples(self, split: str) -> Iterator[Example]:
        """Every image of a split, see `Record.example`."""
        for record, (image, mask) in zip(self.records, self._spans, strict=True):
            if record.split == split:
                yield record.example(self._read(image), self._read(mask) if mask else None)

    def _read(self, span: Span) -> bytes:
        self._spool.seek(span[0])
        return self._spool.read(span[1])


def prepare(files: Sequence[DatabaseFile], *, spool: IO[bytes]) -> Prepared[Record]:
    """Reads, checks, groups and splits all files.

    Args:
        files: The `files` of `database.list_files`.
        spool: An empty file, open for reading and writing, until the records have been read out; it takes
            about as much as the dataset.

    Raises:
        DatabaseError: Naming every file that cannot be used, and why.
    """
    facts, spans = spooled(files, decode, spool=spool)
    return Prepared(assign(files, facts), spans, spool)


def spooled(
    files: Sequence[Source],
    decode_one: Callable[[Source], tuple[bytes, bytes | None, Facts] | images.ImageError],
    *,
    spool: IO[bytes],
) -> tuple[list[Facts | images.ImageError], list[tuple[Span, Span | None]]]:
    """Decodes files on all cores, and puts their encoded images and masks into the spool.

    Args:
        files: What is decoded.
        decode_one: Gives encoded image, encoded mask and facts of a file, or why it has none.
        spool: See `prepare`.

    Returns:
        Facts of every file, or why it has none; and where image and mask lie, of those that have facts.
    """
    facts: list[Facts | images.ImageError] = []
    spans: list[tuple[Span, Span | None]] = []
    decoded = map_ahead(decode_one, files, ahead=_LOOK_AHEAD)
    for _, result in zip(progress.track(files, description="reading images"), decoded, strict=True):
        if isinstance(result, images.ImageError):
            facts.append(result)
            continue
        image_png, mask_png, known = result
        spans.append((_append(spool, image_png), _append(spool, mask_png) if mask_png else None))
        facts.append(known)
    return facts, spans


def assign(files: Sequence[DatabaseFile], facts: Sequence[ImageFacts | images.ImageError]) -> list[Record]:
    """Groups and splits all files by the facts of each, or why it has none.

    Raises:
        DatabaseError: Naming every file that cannot be used, and why.
    """
    require_readable([f"{file.label}/{file.filename}" for file in files], facts)
    records = _records(files, [fact for fact in facts if isinstance(fact, ImageFacts)])
    empty = set(splits.SPLITS) - {record.split for record in records}
    if empty:
        raise DatabaseError(
            f"every split must get an image, {', '.join(sorted(empty))} would get none of these {len(files)}; "
            "build from a larger copy"
        )
    return records


def require_readable(names: Sequence[str], facts: Sequence[object]) -> None:
    """Refuses a copy with files that cannot be used: those whose fact is an `ImageError`.

    Raises:
        DatabaseError: Naming every one, and why.
    """
    problems = [
        f"{name}: {fact}" for name, fact in zip(names, facts, strict=True) if isinstance(fact, images.ImageError)
    ]
    if problems:
        raise DatabaseError(
            f"every file must be a readable image, {len(problems)} of {len(names)} are not: "
            f"{'; '.join(problems)}; restore them from the original archive, or delete them to build without them"
        )


def decode(file: DatabaseFile) -> tuple[bytes, bytes | None, ImageFacts] | images.ImageError:
    """The canonical image and its mask, encoded, or why there is none."""
    try:
        data = database.read_bytes(file.path)
        film = images.decode(data)
        mask = None if file.mask is None else _read_mask(file.mask)
    except images.ImageError as error:
        return error
    pixels = images.canonical(film.pixels)
    sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
    # Phantoms are independent by construction, and all drawn from one anatomy: they only look like copies.
    fingerprint = grouping.NO_FINGERPRINT if is_synthetic(file) else grouping.fingerprint(pixels[..., 0])
    facts = ImageFacts(film.original_mode, sha256, fingerprint)
    image_png = png.stripped(data) or images.encode_png(pixels)  # most published files need no second encoding
    return image_png, None if mask is None else images.encode_png(mask), facts


def _read_mask(path: database.AnyPath) -> np.ndarray:
    try:
        return _decode_mask(database.read_bytes(path))
    except images.ImageError as error:
        raise images.ImageError(f"its lung mask {path} is at fault: {error}") from error


def _decode_mask(data: bytes) -> np.ndarray:
    """A lung mask of 0 and 255, uint8 (256, 256, 1); other sizes are resampled to the nearest pixel."""
    pixels = images.decode(data).pixels
    if pixels.shape != (MASK_SIZE, MASK_SIZE):
        resized = Image.fromarray(pixels).resize((MASK_SIZE, MASK_SIZE), Image.Resampling.NEAREST)
        pixels = np.asarray(resized)
    return np.where(pixels > 127, np.uint8(255), np.uint8(0))[..., np.newaxis]


@cache
def _no_mask_png() -> bytes:
    return images.encode_png(NO_MASK)


def _append(spool: IO[bytes], data: bytes) -> Span:
    offset = spool.tell()
    spool.write(data)
    return offset, len(data)


def _records(files: Sequence[DatabaseFile], facts: Sequence[ImageFacts]) -> list[Record]:
    known = [provenance.lookup(file.label, file.image_id) for file in files]
    assigned = splits.assign(
        [
            splits.Record(file.label, file.image_id, fact.pixel_sha256, fact.fingerprint)
            for file, fact in zip(files, facts, strict=True)
        ]
    )
    return [
        Record(
            file=file,
            original_mode=fact.original_mode,
            claimed_source=provenance.short_source(file.url),
            origin=replace(origin, view=_drawn_view(file)) if is_synthetic(file) else origin,
            group_id=assignment.group_id,
            split=assignment.split,
        )
        for file, fact, origin, assignment in zip(files, facts, known, assigned, strict=True)
    ]


def _drawn_view(file: DatabaseFile) -> str:
    """The view that a phantom's own metadata gives; empty where it gives none."""
    (view,) = parse_qs(urlsplit(file.url).query).get("view", [""])
    return view


def is_synthetic(file: DatabaseFile) -> bool:
    """Whether the file's own metadata says that a program drew it."""
    return file.url.startswith(SYNTHETIC_URL)
