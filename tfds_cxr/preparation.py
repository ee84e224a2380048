"""Reads every file of the database once: decoded, made canonical, fingerprinted, grouped and split.

Groups can be known only when all images have been seen, so the encoded images wait in a temporary
file on the data disk rather than in memory, or being decoded twice.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from cxr_keras3 import images, progress
from cxr_keras3.concurrency import map_ahead
from tfds_cxr import _png, database, grouping, provenance, splits
from tfds_cxr.database import DatabaseError, DatabaseFile

MASK_SIZE = 256
NO_MASK = np.zeros((MASK_SIZE, MASK_SIZE), dtype=np.uint8)
NO_FINGERPRINT = np.zeros(grouping.FREQUENCIES**2, dtype=np.float32)  # resembles nothing
SYNTHETIC_URL = "synthetic:"
_LOOK_AHEAD = 64  # files decoded before the one being written: enough to keep the cores busy, 20 MB at most


@dataclass(frozen=True)
class _Facts:
    """What is kept in memory of a decoded image."""

    original_mode: str
    pixel_sha256: str
    fingerprint: np.ndarray


@dataclass(frozen=True)
class Record:
    """One image on its way into the dataset; its encoded image and mask wait in the spool.

    Attributes:
        file: Where it came from.
        original_mode: Colour mode of the file, such as "L" or "RGB".
        claimed_source: Collection that the metadata claims, in short.
        source: Collection it comes from by evidence; "unknown" where there is none.
        patient_id: The person's name within `source`; empty where unknown.
        group_id: Equal for images of one patient and for near-duplicates.
        split: Where its group goes.
        image_span: Offset and length of the encoded image in the spool.
        mask_span: The same for the mask; None where there is none.
    """

    file: DatabaseFile
    original_mode: str
    claimed_source: str
    source: str
    patient_id: str
    group_id: str
    split: str
    image_span: tuple[int, int]
    mask_span: tuple[int, int] | None


class Records(Sequence[Record]):
    """All records, with the spool that holds their encoded images."""

    def __init__(self, records: list[Record], spool: IO[bytes]) -> None:
        self._records = records
        self._spool = spool

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 -- an index or a slice
        return self._records[index]

    def examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Key and features of every image of a split, as `Builder` declares them."""
        no_mask = images.encode_png(NO_MASK)
        for record in self._records:
            if record.split == split:
                mask = self._read(record.mask_span) if record.mask_span else no_mask
                yield (
                    f"{record.file.label}/{record.file.filename}",
                    {
                        "image": io.BytesIO(self._read(record.image_span)),
                        "mask": io.BytesIO(mask),
                        "has_mask": record.mask_span is not None,
                        "label": record.file.label,
                        "image_id": record.file.image_id,
                        "filename": record.file.filename,
                        "claimed_source": record.claimed_source,
                        "claimed_url": record.file.url,
                        "source": record.source,
                        "patient_id": record.patient_id,
                        "group_id": record.group_id,
                        "original_mode": record.original_mode,
                    },
                )

    def _read(self, span: tuple[int, int]) -> bytes:
        self._spool.seek(span[0])
        return self._spool.read(span[1])


def prepare(files: Sequence[DatabaseFile], *, spool: IO[bytes]) -> Records:
    """Reads, checks, groups and splits all files.

    Args:
        files: The `files` of `database.list_files`.
        spool: An empty file, open for reading and writing, until the records have been read out; it takes
            about as much as the dataset.

    Raises:
        DatabaseError: Naming every file that cannot be used, and why.
    """
    facts: list[_Facts] = []
    spans: list[tuple[tuple[int, int], tuple[int, int] | None]] = []
    problems = []
    decoded = map_ahead(_decode, files, ahead=_LOOK_AHEAD)
    for file, result in zip(progress.track(files, description="reading images"), decoded, strict=True):
        if isinstance(result, images.ImageError):
            problems.append(f"{file.label}/{file.filename}: {result}")
            continue
        image_png, mask_png, known = result
        spans.append((_append(spool, image_png), _append(spool, mask_png) if mask_png else None))
        facts.append(known)
    if problems:
        raise DatabaseError(
            f"every file must be a readable image, {len(problems)} of {len(files)} are not: "
            f"{'; '.join(problems)}; restore them from the original archive, or delete them to build without them"
        )
    records = _records(files, facts, spans)
    empty = set(splits.SPLITS) - {record.split for record in records}
    if empty:
        raise DatabaseError(
            f"every split must get an image, {', '.join(sorted(empty))} would get none of these {len(files)}; "
            "build from a larger copy"
        )
    return Records(records, spool)


def _decode(file: DatabaseFile) -> tuple[bytes, bytes | None, _Facts] | images.ImageError:
    """The canonical image and its mask, encoded, or why there is none."""
    try:
        data = database.read_bytes(file.path)
        film = images.decode(data)
        mask = None if file.mask is None else _decode_mask(database.read_bytes(file.mask))
    except images.ImageError as error:
        return error
    pixels = images.canonical(film.pixels)
    sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
    # Phantoms are independent by construction, and all drawn from one anatomy: they only look like copies.
    fingerprint = NO_FINGERPRINT if is_synthetic(file) else grouping.fingerprint(pixels[..., 0])
    facts = _Facts(film.original_mode, sha256, fingerprint)
    image_png = _png.stripped(data) or images.encode_png(pixels)  # most published files need no second encoding
    return image_png, None if mask is None else images.encode_png(mask), facts


def _decode_mask(data: bytes) -> np.ndarray:
    """A lung mask of 0 and 255, uint8 (256, 256, 1); other sizes are resampled to the nearest pixel."""
    pixels = images.decode(data).pixels
    if pixels.shape != (MASK_SIZE, MASK_SIZE):
        resized = Image.fromarray(pixels).resize((MASK_SIZE, MASK_SIZE), Image.Resampling.NEAREST)
        pixels = np.asarray(resized)
    return np.where(pixels > 127, np.uint8(255), np.uint8(0))[..., np.newaxis]


def _append(spool: IO[bytes], data: bytes) -> tuple[int, int]:
    offset = spool.tell()
    spool.write(data)
    return offset, len(data)


def _records(
    files: Sequence[DatabaseFile],
    facts: Sequence[_Facts],
    spans: Sequence[tuple[tuple[int, int], tuple[int, int] | None]],
) -> list[Record]:
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
            source=origin.source,
            patient_id=origin.patient_id,
            group_id=assignment.group_id,
            split=assignment.split,
            image_span=image_span,
            mask_span=mask_span,
        )
        for file, fact, origin, assignment, (image_span, mask_span) in zip(
            files, facts, known, assigned, spans, strict=True
        )
    ]


def is_synthetic(file: DatabaseFile) -> bool:
    """Whether the file's own metadata says that a program drew it."""
    return file.url.startswith(SYNTHETIC_URL)
