"""Reads and decodes films wherever they are, and gives each the key it is known by."""

import hashlib
import platform
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import fsspec

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from cxr_keras3.bulk.listing import Location, is_uri
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.serving import inputs
from cxr_keras3.serving.inputs import Input, printable

STORE_SILENT = "the store must give the films it listed"


@dataclass(frozen=True, eq=False)
class Decoded:
    """A film on its way to the model.

    Attributes:
        name: What its answer is filed under.
        key: Its SOP Instance UID where it is a DICOM image that was read, else "sha256:" and the hash of its
            bytes; empty where these could not be had.
        film: At 299 x 299, as the model takes it; None where there is none.
        reason: Why not, in one line.
    """

    name: str
    key: str
    film: images.Film | None
    reason: str = ""


def decode(location: Location) -> Decoded:
    """Reads a film as `Predictor.predict` does; one that is no film comes back with the reason.

    Raises:
        UserError: Where it was there when the inputs were listed and this machine does not see it, or where a store
            does not answer: neither is a property of the film, and no reason to refuse it.
    """
    key = ""
    try:
        data = read(location)
        if len(data) <= MAX_FILE_BYTES:
            key = f"sha256:{hashlib.sha256(data).hexdigest()}"
        film = images.decode(data)
    except ImageError as error:
        return Decoded(location.name, key, None, str(error))
    small = replace(film, pixels=images.canonical(film.pixels)[..., 0])
    return Decoded(location.name, film.sop_instance_uid or key, small)


def read(location: Location) -> bytes:
    """A film's bytes, and no more of them than an image may have and one.

    Raises:
        ImageError: Where the bytes cannot be had, and `decode` is to refuse the film.
        UserError: See `decode`.
    """
    if location.entry:
        content = _archived(location.place)[printable(f"{location.place}/{location.entry}")].content
        return content() if callable(content) else b""
    offset, length = location.span or (0, MAX_FILE_BYTES + 1)
    try:
        with fsspec.open(location.place, "rb") as file:
            file.seek(offset)
            data = bytes(file.read(min(length, MAX_FILE_BYTES + 1)))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        if missing and location.listed:
            raise _not_seen(location) from error
        if is_uri(location.place) and not missing:
            raise UserError(f"{STORE_SILENT}, asked for {location.place} ({error}); start again") from error
        raise ImageError(f"the image file cannot be opened: {error.strerror or 'it does not exist'}") from error
    if location.span and len(data) < min(length, MAX_FILE_BYTES + 1):
        raise ImageError("the file cannot be read from the tar: it is cut off")
    return data


@lru_cache(maxsize=4)  # a worker goes on with the archive it has open
def _archived(place: str) -> dict[str, Input]:
    """What is in a zip archive, by name."""
    return {found.name: found for found in inputs.find([Path(place)])}


def _not_seen(location: Location) -> UserError:
    return UserError(
        f"every machine of the cluster must see the inputs, {platform.node()} does not see {location.place}; put them "
        "on a disk that all of them mount under the same path, or into an object store"
    )
