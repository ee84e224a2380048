"""Is the decoded picture one that a radiologist would recognise? Asked of the picture itself, not of its header.

A wrong window, a lookup table that lies about its depth, a file cut off and closed again, a scan in black and white:
each yields a picture of the right size, and a confident answer about it. Of 4,840 films of the database, 420 of three
other collections and 60 with masks, none is refused, and two of the database's have a note, of low contrast.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.images.film import LEAST_SPAN

MAX_RATIO = 4.0
"""Longer side to shorter; originals of the database go up to 1.5."""

MIN_LEVELS, FEW_LEVELS = 9, 48
"""Different greys below which a picture is refused, and said to be coarse; the films have 123 and more."""

MAX_GAPS = 0.3
"""Share of greys between those percentiles that no pixel has, above which the picture is said to be stretched."""

MAX_WHITE, MAX_BLACK = 0.15, 0.6
"""Share of the middle of the picture that is pure white or black; at most 0.05 and 0.41."""

CUT_ROWS = 0.02
"""Share of the rows, at the lower end and of one even grey, from which a file is taken for cut off."""

Pixels = npt.NDArray[np.uint8]


def refusal(pixels: Pixels) -> str:
    """Why this is no picture of a film, in one line; empty where it may be one.

    Args:
        pixels: uint8 (height, width).
    """
    height, width = pixels.shape
    if max(height, width) > MAX_RATIO * min(height, width):
        return f"a film is at most {MAX_RATIO:.0f} times as long as wide, this picture has {width} x {height} pixels"
    levels = int(np.count_nonzero(_histogram(pixels)))
    if 1 < levels < MIN_LEVELS:
        return f"the picture has {levels} different greys, a film has more than a hundred: send the original"
    even = _even_rows(pixels)
    if even >= max(8, CUT_ROWS * height):
        return f"the lower {even / height:.0%} of the picture is one even grey, as of a file cut off: send all of it"
    return ""


def notes(pixels: Pixels) -> tuple[str, ...]:
    """What a reader should know of a picture, one short line each.

    Args:
        pixels: uint8 (height, width).
    """
    histogram = _histogram(pixels)
    shares = np.cumsum(histogram) / pixels.size
    low, high = int(np.searchsorted(shares, 0.01)), int(np.searchsorted(shares, 0.99))
    if low == high:
        return ()  # a blank picture, which the gate refuses
    found = []
    levels = int(np.count_nonzero(histogram))
    gaps = float((histogram[low : high + 1] == 0).mean())
    if levels < FEW_LEVELS:
        found.append(f"coarse: the picture has {levels} different greys")
    elif gaps > MAX_GAPS:
        found.append(f"stretched: {gaps:.0%} of the greys between black and white are not used")
    if high - low < LEAST_SPAN:
        found.append(f"low contrast: the picture uses {high - low} of 256 greys")
    height, width = pixels.shape
    middle = pixels[height // 5 : height - height // 5, width // 5 : width - width // 5]
    white, black = (np.count_nonzero(middle == grey) / middle.size for grey in (255, 0))
    if white > MAX_WHITE:
        found.append(f"overexposed or cut off by its window: {white:.0%} of the middle is pure white")
    if black > MAX_BLACK:
        found.append(f"underexposed or cut off by its window: {black:.0%} of the middle is pure black")
    return tuple(found)


def _histogram(pixels: Pixels) -> npt.NDArray[np.intp]:
    """By Pillow, for NumPy would count a copy eight times the size."""
    return np.asarray(Image.fromarray(pixels).histogram())


def _even_rows(pixels: Pixels) -> int:
    """How many rows at the lower end are of one grey, neither black nor white, with which decoders fill what lacks."""
    last = int(pixels[-1, 0])
    if not 8 <= last <= 247 or (pixels[-1] != last).any():
        return 0
    differs = np.flatnonzero((pixels != last).any(axis=1))
    return len(pixels) - int(differs[-1]) - 1 if len(differs) else 0  # all of one grey is blank, and not cut off
