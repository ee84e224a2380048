"""Reads and decodes films wherever they are, and gives each the key it is known by."""

import hashlib
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import fsspec
import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.bulk.listing import Film, is_uri
from cxr_keras3.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.inference import inputs
from cxr_keras3.inference.inputs import Source, printable

STORE_SILENT = "the store must give the films it listed"


@dataclass(frozen=True, eq=False)
class Decoded:
    """A film on its way to the model.

    Attributes:
        name: What its answer is filed under.
        key: Its SOP Instance UID where it is a DICOM image that was read, else "sha256:" and the hash of its
            bytes; empty where these could not be had.
        pixels: uint8 (299, 299), None where there is no picture.
        reason: Why not, in one line.
        warnings: What a reader should know of the file.
        sop_instance_uid: Empty where it has none.
    """

    name: str
    key: str
    pixels: npt.NDArray[np.uint8] | None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    sop_instance_uid: str = ""


def decode(film: Film) -> Decoded:
    """Reads a film as `Predictor.predict` does; one that is no film comes back with the reason.

    Raises:
        UserError: Where it was there when the inputs were listed and this machine does not see it, or where a store
            does not answer: neither is a property of the film, and no reason to refuse it.
    """
    key = ""
    try:
        data = read(film)
        if len(data) <= MAX_FILE_BYTES:
            key = f"sha256:{hashlib.sha256(data).hexdigest()}"
        picture = images.decode(data)
    except ImageError as error:
        return Decoded(film.name, key, None, str(error))
    pixels = images.canonical(picture.pixels)[..., 0]
    uid = picture.sop_instance_uid or ""
    return Decoded(film.name, uid or key, pixels, warnings=picture.warnings, sop_instance_uid=uid)


def read(film: Film) -> bytes:
    """A film's bytes, and no more of them than an image may have and one.

    Raises:
        ImageError: Where the bytes cannot be had, and `decode` is to refuse the film.
        UserError: See `decode`.
    """
    if film.entry:
        content = _archived(film.place)[printable(f"{film.place}/{film.entry}")].content
        return content() if callable(content) else b""
    offset, length = film.span or (0, MAX_FILE_BYTES + 1)
    try:
        with fsspec.open(film.place, "rb") as file:
            file.seek(offset)
            data = bytes(file.read(min(length, MAX_FILE_BYTES + 1)))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        if missing and film.listed:
            raise _not_seen(film) from error
        if is_uri(film.place) and not missing:
            raise UserError(f"{STORE_SILENT}, asked for {film.place} ({error}); the same command goes on") from error
        raise ImageError(f"the image file cannot be opened: {error.strerror or 'it does not exist'}") from error
    if film.span and len(data) < min(length, MAX_FILE_BYTES + 1):
        raise ImageError("the file cannot be read from the tar: it is cut off")
    return data


@lru_cache(maxsize=4)  # a worker goes on with the archive it has open
def _archived(place: str) -> dict[str, Source]:
    """The sources of a zip archive by name."""
    return {source.name: source for source in inputs.sources([Path(place)])}


def _not_seen(film: Film) -> UserError:
    return UserError(
        f"every machine of the cluster must see the inputs, {platform.node()} does not see {film.place}; put them "
        "on a disk that all of them mount under the same path, or into an object store"
    )
