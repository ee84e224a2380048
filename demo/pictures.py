"""Pictures inside of texts, as the browser takes them: PNG, JPEG, or all the values that a film holds."""

import base64
import io
import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3 import images

SIDE = 1024
"""Longest side, in pixels, of a film on the page: what a screen shows, and a tenth of a second to send."""
MOST_PIXELS = 2**24
"""Of a film on the page: what a canvas holds in every browser, and 32 MiB of values; larger films are reduced."""


@dataclass(frozen=True)
class Values:
    """All that a film holds, as `values.js` unpacks it.

    Attributes:
        base64: Each value less the one to its left, counted from `lowest`, by 2**16: the low bytes, then the high
            bytes, deflated.
        width: Columns.
        height: Rows.
        lowest: The least value.
    """

    base64: str
    width: int
    height: int
    lowest: int


def whole(data: bytes) -> Values:
    """The values of a film's file, or its greys where it stores no other; runs where films are decoded.

    Raises:
        ImageError: Where it cannot be decoded.
    """
    film = images.decode(data, with_values=True)
    values = film.pixels.astype(np.int32) if film.values is None else film.values
    step = math.ceil(math.sqrt(values.size / MOST_PIXELS))
    if step > 1:
        height, width = (side // step for side in values.shape)
        values = values[: height * step, : width * step].reshape(height, step, width, step).mean(axis=(1, 3))
    lowest = int(values.min())
    counted = (np.rint(values) - lowest).astype(np.uint16)
    steps = np.diff(counted, axis=1, prepend=np.uint16(0))  # around the ends of 16 bits, and back in the browser
    planes = np.ascontiguousarray(steps, "<u2").view(np.uint8).reshape(-1, 2)
    packed = zlib.compress(np.ascontiguousarray(planes.T).tobytes(), level=1)
    return Values(base64.b64encode(packed).decode(), counted.shape[1], counted.shape[0], lowest)


def thumbnail(pixels: npt.NDArray[np.uint8], side: int) -> str:
    """A small JPEG of a grey picture as a data URI."""
    return data_uri(np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)), lossy=True)


def data_uri_of_png(content: bytes) -> str:
    """A PNG inside a text."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def data_uri(pixels: npt.NDArray[np.uint8], *, lossy: bool = False) -> str:
    """A picture, uint8 (h, w) or (h, w, 3), inside a text."""
    buffer = io.BytesIO()
    if lossy:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    else:
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)  # quick: it has not far to go
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def reduced(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The film with its longest side at most `SIDE`, undistorted."""
    height, width = pixels.shape
    factor = min(1.0, SIDE / max(height, width))
    if factor == 1.0:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
