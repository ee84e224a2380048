"""Pictures of more than 8 bits that are no DICOM files."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.images.film import WINDOW_GUESSED, Film, ImageError, Window, apply_window, guess_window

WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
"""Pillow's modes of more than 8 bits."""
SAMPLE_FORMAT = 339
_PHOTOMETRIC = 262  # TIFF tags, both
_MOST_VALUES = 2**16
"""Of a film whose values are handed on: what a viewer's table holds, and what detectors store."""


def wide_film(image: Image.Image, mode: str, tags: dict[int, object], *, with_values: bool) -> Film:
    """Makes greys of wider values: 8-bit ones in disguise exactly, others by a guessed window, with a warning.

    Args:
        image: Upright.
        mode: What the file held, see `Film.original_mode`.
        tags: Of a TIFF file.
        with_values: See `decode`.

    Raises:
        ImageError: Where a value is not a number.
    """
    values = np.asarray(image)
    if image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,)) == (1,):
        values = values.view(np.uint32)  # Pillow's "I" is signed
    if not np.isfinite(values).all():
        raise ImageError("the image holds values that are not numbers: save the film as 8-bit or 16-bit grey")
    is_inverted = tags.get(_PHOTOMETRIC) == 0  # WhiteIsZero, which Pillow heeds in 8-bit images only
    step = _widening(values)
    if step:
        pixels = (values // step).astype(np.uint8)
        return Film(255 - pixels if is_inverted else pixels, mode)
    low, high = guess_window(values)
    pixels = apply_window(values, low, high)
    window, handed_on = None, None
    if values.dtype.kind in "iu" and float(values.max()) - float(values.min()) < _MOST_VALUES:
        window = Window.between(low, high, values, bits=16 if "16" in mode else 32, is_inverted=is_inverted)
        handed_on = values.astype(np.int32) if with_values and values.max() < 2**31 else None
    return Film(255 - pixels if is_inverted else pixels, mode, (WINDOW_GUESSED,), window=window, values=handed_on)


def _widening(values: npt.NDArray[np.generic]) -> int | None:
    """Returns the factor by which an 8-bit image was widened to `values`, None if it was not one.

    The factor is 257 where the widening keeps white white (as PNG's specification recommends), 256
    where bytes were shifted, and 1 where they were merely stored in a wider type.
    """
    if values.dtype.kind not in "iu" or values.min() < 0:
        return None
    for step in (1, 256, 257):
        if values.max() <= 255 * step and not np.any(values % step):
            return step
    return None
