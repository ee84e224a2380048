"""Tells which films of other collections the database holds, whatever size, grey scale, crop or frame they come in.

A fingerprint is 255 bits of a film's inner part, 80 % of each side: signs of the lowest 16 x 16 coefficients of the
cosine transform of its ranked grey levels, the perceptual hash of Zauner (Implementation and Benchmarking of Perceptual
Image Hash Functions, 2010). Nobody can see a film in it. The film asked about is at hand, so its side of the comparison
keeps real numbers, and is searched: the box whose fingerprint agrees best may be smaller than the film, where that has
a frame or the database's copy was cropped, or reach beyond it, where it was cropped itself.

How sure an answer is was measured by `tools/fingerprint_rates.py`; see `docs/explanation/contamination.md`.
"""

import functools
import io
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

from cxr_keras3.base.errors import UserError
from tfds_cxr.labels import LABELS

SHIPPED = "fingerprints.npz"
"""In this folder: the fingerprints that come with the package."""

OTHER = "CXR_FINGERPRINTS"
"""Environment variable that names a file to use instead, such as one made from a full copy."""

SAME_FILM = 0.93
"""Least agreement, of at most 1, of two pictures of one film."""

FREQUENCIES = 16
BITS = FREQUENCIES**2
INNER = 0.1
"""Share of each side that the fingerprinted part leaves out."""

_SIDE = 96  # of the picture that boxes are cut from
_FRAME = 24  # by how much boxes may reach beyond it
_THUMBNAIL = 32
_FLAT = 3.0  # grey levels: a row whose standard deviation is less belongs to a frame
_CANDIDATES = 3
_STEPS = (0.035, 0.0175, 0.00875, 0.004375)
_ROUNDS = 5
_FARTHEST = 0.24
_WEIGHT = np.hypot(*np.mgrid[:FREQUENCIES, :FREQUENCIES])

Box = tuple[float, float, float, float]
"""Shares of the sides cut off at the left, top, right and bottom; negative where the box reaches beyond the film."""


def _boxes() -> npt.NDArray[np.float64]:
    """Where a search begins: the sides moved in and out, alone and together."""
    moved = list(itertools.product((-0.06, 0.0, 0.06), repeat=4))
    moved += [(step,) * 4 for step in (-0.1, -0.03, 0.03, 0.1)]
    moved += [(step, 0.0, step, 0.0) for step in (-0.03, 0.03, 0.12)]
    moved += [(0.0, step, 0.0, step) for step in (-0.03, 0.03, 0.12)]
    return INNER + np.array(moved)


_BOXES = _boxes()
_MOVES = np.array(
    [
        *(np.eye(4, dtype=int)[side] * way for side in range(4) for way in (-1, 1)),  # one side
        *((way, 0, -way, 0) for way in (-1, 1)),  # shifted
        *((0, way, 0, -way) for way in (-1, 1)),
        *((way, way, way, way) for way in (-1, 1)),  # larger or smaller
    ]
)


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Films of the database.

    Attributes:
        image_ids: Their names, such as "COVID-12".
        signs: float32 (films, 256) of -1 and 1; the first, which says nothing, is 0.
    """

    image_ids: tuple[str, ...]
    signs: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image_ids)

    def find(self, pixels: npt.NDArray[np.uint8]) -> tuple[str, float]:
        """The film that looks most like a picture, and how well they agree, -1 to 1; `SAME_FILM` says from when on.

        Args:
            pixels: Grey, (height, width), of any size.
        """
        picture = _picture(pixels)
        agreement = _spectra(picture, _BOXES) @ self.signs.T
        best = agreement.max(axis=0)
        found = ("", -1.0)
        for index in np.argsort(-best)[:_CANDIDATES]:
            score = _refined(picture, _BOXES[agreement[:, index].argmax()], self.signs[index])
            if score > found[1]:
                found = self.image_ids[index], score
            if score >= SAME_FILM:
                break
        return found


def of(films: Sequence[npt.NDArray[np.uint8]], image_ids: Sequence[str]) -> Fingerprints:
    """Fingerprints of films of the database, each (height, width)."""
    inner = np.full((1, 4), INNER)
    spectra = [_spectra(_framed(_scaled(film)), inner)[0] for film in films]
    return _from_bits(tuple(image_ids), np.array(spectra).reshape(-1, BITS) >= 0)


def merged(parts: Sequence[Fingerprints]) -> Fingerprints:
    """All films of several sets; a film in two of them is taken from the first."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for part in parts:
        for image_id, signs in zip(part.image_ids, part.signs, strict=True):
            found.setdefault(image_id, signs)
    return Fingerprints(tuple(found), np.array(list(found.values()), np.float32).reshape(-1, BITS))


@functools.cache
def load() -> Fingerprints:
    """The fingerprints in the file that `$CXR_FINGERPRINTS` names, else those of the package.

    Raises:
        UserError: Where the file cannot be read or holds something else.
    """
    named = os.environ.get(OTHER)
    data = Path(named) if named else resources.files(__package__).joinpath(SHIPPED)
    try:
        with np.load(io.BytesIO(data.read_bytes()), allow_pickle=False) as file:
            classes, numbers, bits = (file[name] for name in ("classes", "numbers", "bits"))
        image_ids = tuple(f"{LABELS[label]}-{number}" for label, number in zip(classes, numbers, strict=True))
        unpacked = np.unpackbits(bits, axis=1).reshape(len(image_ids), BITS)
    except (OSError, ValueError, KeyError, IndexError, EOFError) as error:
        raise UserError(
            f"{OTHER} must name a file of python -m tfds_cxr.collections, {data} is none ({error}); make it again"
        ) from error
    return _from_bits(image_ids, unpacked.astype(bool))


def packed(fingerprints: Fingerprints) -> bytes:
    """The file that `load` reads: 35 bytes a film."""
    names = [image_id.rpartition("-") for image_id in fingerprints.image_ids]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        classes=np.array([LABELS.index(label) for label, _, _ in names], np.uint8),
        numbers=np.array([int(number) for _, _, number in names], np.uint16),
        bits=np.packbits(fingerprints.signs > 0, axis=1),
    )
    return buffer.getvalue()


def _from_bits(image_ids: tuple[str, ...], bits: npt.NDArray[np.bool_]) -> Fingerprints:
    signs = np.where(bits, np.float32(1), np.float32(-1))
    signs[:, 0] = 0
    return Fingerprints(image_ids, signs)


def _picture(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """The film without a frame of one grey, scaled, with room for boxes that reach beyond it."""
    rows, columns = (np.flatnonzero(part.std(axis=1) > _FLAT) for part in (pixels, pixels.T))
    if len(rows) > len(pixels) // 3 and len(columns) > pixels.shape[1] // 3:
        pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _framed(_scaled(pixels))


def _scaled(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _framed(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.pad(pixels, _FRAME, mode="edge"))


def _spectra(picture: Image.Image, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The weighted spectrum of each box, (boxes, 256), whose magnitudes add up to 1; zeros where all is of one grey."""
    thumbnails = np.stack([_cut(picture, box) for box in boxes]).reshape(len(boxes), -1)
    offsets = 256 * np.arange(len(boxes))[:, np.newaxis]
    counts = np.bincount((thumbnails + offsets).ravel(), minlength=256 * len(boxes)).reshape(-1, 256)
    ranks = np.take_along_axis(np.cumsum(counts, axis=1) - counts / 2, thumbnails, axis=1)
    spectrum = dctn(ranks.reshape(-1, _THUMBNAIL, _THUMBNAIL), axes=(1, 2), norm="ortho")
    weighted = (spectrum[:, :FREQUENCIES, :FREQUENCIES] * _WEIGHT).reshape(len(boxes), BITS)
    total = np.abs(weighted).sum(axis=1, keepdims=True)
    scaled = np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 1e-6)
    return np.asarray(scaled, np.float32)


def _cut(picture: Image.Image, box: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    left, top, right, bottom = _SIDE * box
    place = (_FRAME + left, _FRAME + top, _FRAME + _SIDE - right, _FRAME + _SIDE - bottom)
    return np.asarray(picture.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX, box=place), np.int64)


def _refined(picture: Image.Image, box: npt.NDArray[np.float64], signs: npt.NDArray[np.float32]) -> float:
    """The best agreement that is reached by moving a box's sides in ever smaller steps."""
    score = -1.0
    for step in _STEPS:
        for _ in range(_ROUNDS):
            moved = box + step * _MOVES
            moved = moved[(np.abs(moved) <= _FARTHEST).all(axis=1)]
            agreement = _spectra(picture, moved) @ signs
            best = int(agreement.argmax())
            if agreement[best] <= score:
                break
            score, box = float(agreement[best]), moved[best]
        if score >= SAME_FILM:
            break
    return score
