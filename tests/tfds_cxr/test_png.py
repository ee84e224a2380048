"""Keeping a file's own compressed pixels: only where nothing can change them, and nothing else with them."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr_keras3 import images
from tfds_cxr import png

PIXELS = np.random.default_rng(0).integers(0, 256, (299, 299), dtype=np.uint8)


def encoded(pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """The file with a chunk put before its end mark."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:-12] + chunk + data[-12:]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_pixels_stay_as_they_were(seed: int, level: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (299, 299), dtype=np.uint8)
    kept = png.stripped(encoded(pixels, compress_level=level))
    assert kept is not None
    np.testing.assert_array_equal(images.decode(kept).pixels, pixels)


def test_what_else_a_file_carries_stays_out() -> None:
    notes = PngInfo()
    notes.add_text("PatientName", "Doe^Jane")
    notes.add_itxt("Comment", "ward 7")
    data = encoded(pnginfo=notes, dpi=(72, 72)) + b"after the end"
    kept = png.stripped(data)
    assert kept == png.stripped(encoded())
    assert b"Doe" in data
    assert kept is not None
    assert b"Doe" not in kept


@pytest.mark.parametrize(
    "data",
    [
        encoded(PIXELS[:256, :256]),
        encoded(np.repeat(PIXELS[..., None], 3, axis=2)),
        encoded(transparency=7),
        with_chunk(encoded(), b"eXIf", Image.Exif().tobytes() or b"Exif"),
        encoded()[:-12],  # no end mark
        encoded()[:5000],
        b"\xff\xd8\xff JPEG",
        b"",
    ],
    ids=["other size", "colour", "transparency", "rotation", "no end", "cut short", "another format", "empty"],
)
def test_anything_else_is_encoded_anew(data: bytes) -> None:
    assert png.stripped(data) is None
