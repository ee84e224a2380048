"""What a decoded film is, why a file cannot become one, and the limits that every format shares."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError

MAX_PIXELS = 50_000_000
"""Largest film read. A 43 cm detector at 0.1 mm has 18 million pixels and a telephone's picture of a
film up to 50 million; beyond that a small file can ask for gigabytes (a decompression bomb)."""

MAX_FILE_BYTES = 128 * 2**20
"""Largest file read: `MAX_PIXELS` uncompressed 16-bit pixels, 100 MB, with room for a header."""

MAX_SCANS = 100
"""Most scans of a JPEG file, each of which goes over the whole picture; encoders write some ten."""

MAX_PARTS = 65_536
"""Most strips or tiles of a TIFF file."""

MIN_SIDE = 64
"""Shortest side read, in pixels: the model sees 299, and a smaller thumbnail shows no lung detail."""

WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the pixel values shown as black and white where a file does not say how to show them;
they leave out burnt-in markers and collimator edges, and keep the lungs and the mediastinum apart."""

LEAST_SPAN = 64
"""Greys between a film's 1st and 99th percentile, below which no reader would look at it: two of 4,840 films of the
database lie there."""

WINDOW_GUESSED = "window guessed: the file does not say which values are black and white"


class ImageError(UserError):
    """A file that cannot become a film. The message is one line and holds nothing of the patient's data."""


class NotAChestFilmError(ImageError):
    """A readable DICOM file whose header says that it is not a frontal chest radiograph."""


@dataclass(frozen=True)
class Window:
    """Which of a file's values were made black and white.

    Values are what the file stores; where it brings lookup tables, what they make of that.

    Attributes:
        level: The middle, as DICOM's Window Center (PS3.3 C.11.2.1.2.1).
        width: As DICOM's Window Width.
        lowest: Least value of the film.
        highest: Greatest value of the film.
        bits: That the file stores a value in.
        is_inverted: Whether low values are white.
    """

    level: float
    width: float
    lowest: int
    highest: int
    bits: int = 8
    is_inverted: bool = False

    @classmethod
    def between(
        cls, low: float, high: float, values: npt.NDArray[np.integer], *, bits: int, is_inverted: bool = False
    ) -> Self:
        """The window that shows `low` as black and `high` as white, and with `high` not above `low` splits there."""
        level, width = ((low + high) / 2 + 0.5, high - low + 1) if high > low else (low + 1, 2.0)
        return cls(level, width, int(values.min()), int(values.max()), bits, is_inverted)


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph as a reader sees it.

    Attributes:
        pixels: uint8, shape (height, width), at the file's own size, upright, air black and bone white.
        original_mode: What the file held: Pillow's mode ("L", "RGB", "I;16", ...), or for example
            "DICOM MONOCHROME1 15 bit".
        warnings: What a reader of the result should know about the image, one short line each.
        sop_instance_uid: The DICOM image's unique identifier, None for other files.
        spacing: Millimetres between rows and between columns, in the patient where the header says so, else on the
            detector; None where it does not say.
        window: How values became greys; None where the file holds the greys themselves.
        values: int32, shape as `pixels`, what the window was laid over; None where not asked for, or where there is no
            window.
    """

    pixels: npt.NDArray[np.uint8]
    original_mode: str
    warnings: tuple[str, ...] = ()
    sop_instance_uid: str | None = None
    spacing: tuple[float, float] | None = None
    window: Window | None = None
    values: npt.NDArray[np.int32] | None = None


def require_size(width: int, height: int) -> None:
    """Refuses a film by the size that its header states, before anything is decoded.

    Raises:
        ImageError: More than `MAX_PIXELS` pixels, or a side shorter than `MIN_SIDE`.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"an image may have at most {MAX_PIXELS} pixels, this one has {width} x {height}: make it smaller"
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"an image needs at least {MIN_SIDE} pixels a side, this one has {width} x {height}: "
            "use the original, not a thumbnail"
        )


def guess_window(values: npt.NDArray[np.number]) -> tuple[float, float]:
    """Returns the values to show as black and as white, at `WINDOW_PERCENTILES` of `values`."""
    low, high = np.percentile(values, WINDOW_PERCENTILES, method="nearest")
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high)


def apply_window(values: npt.NDArray[np.number], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Maps `values` linearly to grey, `low` to 0 and `high` to 255; an empty window splits at `low`."""
    shades = values.astype(np.float64)
    if high <= low:
        return np.where(shades > low, np.uint8(255), np.uint8(0))
    shades -= low
    shades /= high - low
    np.clip(shades, 0, 1, out=shades)
    shades *= 255
    return np.rint(shades, out=shades).astype(np.uint8)
