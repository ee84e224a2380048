"""How a DICOM image's stored values become shades of grey (PS3.3 C.11.1 and C.11.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from cxr_keras3.images.film import LEAST_SPAN, WINDOW_GUESSED, ImageError, apply_window, guess_window

UNUSED = "the header's window leaves most greys unused: window guessed"
WRONG_DEPTH = "the header's lookup table does not have the depth that it states: its own taken"

Span = tuple[float, float]
_FLAT = 1e-9  # a slope that leaves nothing to see
_SIGMOID_STEPS = 2**16 - 1


@dataclass(frozen=True, eq=False)
class Shades:
    """How stored values are shown, for every bit pattern that a pixel can have, in unsigned order.

    Attributes:
        greys: uint8 (patterns,).
        values: int32 (patterns,), see `Film.values`.
        span: The values shown as black and as white.
        is_inverted: Whether low values are white.
        notes: Warnings.
    """

    greys: npt.NDArray[np.uint8]
    values: npt.NDArray[np.int32]
    span: Span
    is_inverted: bool
    notes: list[str]


def shades_of(dataset: Dataset, stored: npt.NDArray[np.integer]) -> Shades:
    """The shades of a film.

    Args:
        dataset: The header.
        stored: The stored values, see `dicom_pixels.stored_values`.

    Raises:
        ImageError: Where the header's numbers are none.
    """
    patterns = np.arange(2 ** (8 * stored.itemsize), dtype=f"u{stored.itemsize}")
    numbers = patterns.view(stored.dtype)
    values = _modality_values(dataset, numbers.astype(np.float64), stored)
    window = _window(dataset)
    notes: list[str] = []
    if dataset.get("VOILUTSequence"):
        used = values[_patterns(stored, (stored.min(), stored.max()))]
        values, top, is_as_stated = _look_up(dataset.VOILUTSequence[0], values, used=used)
        span = 0.0, top
        notes += [] if is_as_stated else [WRONG_DEPTH]
    elif window and dataset.get("VOILUTFunction") == "SIGMOID":
        centre, width = window
        values, span = 1 / (1 + np.exp(-4 * (values - centre) / width)), (0.0, 1.0)
    elif window:
        centre, width = window
        if dataset.get("VOILUTFunction") != "LINEAR_EXACT":
            centre, width = centre - 0.5, width - 1
        span = centre - width / 2, centre + width / 2
        guessed = _guessed(dataset, values, stored)
        if np.isfinite([*span, *guessed]).all() and _greys(guessed, span) < LEAST_SPAN <= _greys(guessed, guessed):
            span, notes = guessed, [UNUSED]
    elif dataset.BitsStored <= 8:
        smallest = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
        span = _between(values, stored, (smallest, smallest + 2**dataset.BitsStored - 1))
    else:
        span, notes = _guessed(dataset, values, stored), [WINDOW_GUESSED]
    if not np.isfinite([values.min(), values.max(), *span]).all():
        raise ImageError("the DICOM header's window or rescale is not a finite number: export the image again")
    greys = apply_window(values, *span)
    # INVERSE restates MONOCHROME1 in DX images (PS3.3 C.8.11.3.1.2): it is no second inversion.
    is_inverted = dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    shown, span, is_turned = _in_stored_units(dataset, numbers, values, span)
    return Shades(255 - greys if is_inverted else greys, shown, span, is_inverted != is_turned, notes)


def _in_stored_units(
    dataset: Dataset, numbers: npt.NDArray[np.integer], values: npt.NDArray[np.float64], span: Span
) -> tuple[npt.NDArray[np.int32], Span, bool]:
    """What a window is laid over, that window, and whether it is turned.

    Those are the stored numbers, unless a table or a curve lies between.
    """
    if dataset.get("VOILUTFunction") == "SIGMOID" and span == (0.0, 1.0):
        return np.rint(values * _SIGMOID_STEPS).astype(np.int32), (0.0, _SIGMOID_STEPS), False
    slope, intercept = _rescale(dataset)
    ends = tuple((end - intercept) / slope for end in span) if abs(slope) > _FLAT else (math.inf, math.inf)
    if dataset.get("ModalityLUTSequence") or dataset.get("VOILUTSequence") or not np.isfinite(ends).all():
        return np.rint(np.clip(values, -(2**15), 2**16)).astype(np.int32), span, False
    return numbers.astype(np.int32), (min(ends), max(ends)), slope < 0


def _patterns(stored: npt.NDArray[np.integer], numbers: Sequence[float]) -> list[int]:
    """The bit patterns of stored numbers, as positions among all patterns."""
    return [int(number) % 2 ** (8 * stored.itemsize) for number in numbers]


def _between(values: npt.NDArray[np.float64], stored: npt.NDArray[np.integer], ends: Sequence[float]) -> Span:
    low, high = sorted(float(value) for value in values[_patterns(stored, ends)])
    return low, high


def _guessed(dataset: Dataset, values: npt.NDArray[np.float64], stored: npt.NDArray[np.integer]) -> Span:
    return _between(values, stored, guess_window(_without_padding(dataset, stored)))


def _greys(shown: Span, window: Span) -> float:
    """Over how many greys a window spreads what lies between two values."""
    low, high = window
    inside = np.clip((np.array(shown) - low) / max(high - low, 1e-9), 0, 1)
    return float(255 * (inside[1] - inside[0]))


def _modality_values(
    dataset: Dataset, values: npt.NDArray[np.float64], stored: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    if dataset.get("ModalityLUTSequence"):
        used = values[_patterns(stored, (stored.min(), stored.max()))]
        return _look_up(dataset.ModalityLUTSequence[0], values, used=used)[0]
    slope, intercept = _rescale(dataset)
    return values * slope + intercept


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept of the modality's rescale; without one of them, none."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return (1.0, 0.0) if slope is None or intercept is None else (float(slope), float(intercept))


def _look_up(
    item: Dataset, values: npt.NDArray[np.float64], *, used: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float, bool]:
    """Applies a lookup table (PS3.3 C.11.1.1).

    pydicom's own functions wrap around where an 8-bit table has more than 256 entries.

    Args:
        item: The table.
        values: What is looked up.
        used: The smallest and the largest of them that the image holds.

    Returns:
        Its output; the output's largest possible value; and whether the table has the depth that it states.
    """
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    entries = item.LUTData
    if isinstance(entries, bytes):
        wide = len(entries) >= 2 * (count or 2**16)
        order = "<" if item.original_encoding[1] else ">"
        entries = np.frombuffer(entries, f"{order}u2" if wide else "u1")
    table = np.atleast_1d(np.asarray(entries, dtype=np.float64))
    if first > used.max() and first - 2**16 <= used.max():  # written without the sign that it has
        first -= 2**16
    needed = math.ceil(math.log2(table.max() + 1)) if table.max() > 0 else 1
    is_as_stated = needed == depth or (needed < depth and table.max() > 0.45 * (2**depth - 1))
    looked_up = table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)]
    return looked_up, 2.0 ** (depth if is_as_stated else needed) - 1, is_as_stated


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Returns the first window's centre and width, None where there is none that shows anything."""
    centres, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centres in (None, "") or widths in (None, ""):
        return None
    centre, width = (float(np.atleast_1d(numbers)[0]) for numbers in (centres, widths))
    return (centre, width) if width > 1 else None


def _without_padding(dataset: Dataset, stored: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The stored values but the padding, one value or a range, which some devices write with the wrong sign."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return stored
    limit = dataset.get("PixelPaddingRangeLimit")
    patterns = _patterns(stored, (int(padding), int(padding if limit is None else limit)))
    ends = np.array(patterns, f"u{stored.itemsize}").view(stored.dtype)
    counted = stored[(stored < ends.min()) | (stored > ends.max())]
    return counted if counted.size else stored
