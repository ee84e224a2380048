"""Films: from the bytes of a file to the grey 299 x 299 picture that the model takes."""

from cxr_keras3.images.decoding import IMAGE_SIZE, canonical, decode, encode_png, read
from cxr_keras3.images.film import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    MIN_SIDE,
    WINDOW_GUESSED,
    Film,
    ImageError,
    NotAChestFilmError,
    Window,
)

__all__ = [
    "IMAGE_SIZE",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "WINDOW_GUESSED",
    "Film",
    "ImageError",
    "NotAChestFilmError",
    "Window",
    "canonical",
    "decode",
    "encode_png",
    "read",
]
