"""The canvas that phantoms are drawn on.

Everything is drawn upright, 160 pixels to the unit; x runs from the patient's right (-) to left (+),
that is from the reader's left to right, y downwards, and a radiograph shows about -0.9 to 0.9 in both.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

FloatImage = npt.NDArray[np.float32]

CANVAS = 360
UNIT = 160
SPAN = CANVAS / UNIT / 2
SIDES = (-1, 1)
_OVERSAMPLING = 2
_AXIS = ((np.arange(CANVAS) + 0.5) / UNIT - SPAN).astype(np.float32)
X = _AXIS[None, :]
Y = _AXIS[:, None]


def edge(distance: npt.NDArray[np.floating]) -> FloatImage:
    """1 where `distance` (units) is positive, 0 where negative, with an edge two pixels wide."""
    inside: FloatImage = np.clip(distance * (UNIT / 2) + 0.5, 0, 1).astype(np.float32)
    return inside


def smooth_noise(rng: np.random.Generator, grain: float) -> FloatImage:
    """(360, 360) noise of standard deviation near 1, with grains of about `grain` units."""
    size = max(4, round(2 * SPAN / grain))
    coarse = Image.fromarray(rng.standard_normal((size, size), dtype=np.float32))
    return np.asarray(coarse.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)) * np.float32(1.4)


class Layer:
    """A drawing in units, oversampled; `image` gives it on the canvas, 0 to 1."""

    def __init__(self) -> None:
        size = CANVAS * _OVERSAMPLING
        self._image = Image.new("L", (size, size))
        self._draw = ImageDraw.Draw(self._image)

    def _pixels(self, points: npt.ArrayLike) -> list[float]:
        pixels = (np.asarray(points, np.float64) + SPAN) * (UNIT * _OVERSAMPLING)
        return pixels.ravel().tolist()

    def line(self, points: npt.ArrayLike, width: float, value: int) -> None:
        """A line through points, `width` wide."""
        self.lines(np.asarray(points)[None], np.array([width]), np.array([value]))

    def lines(
        self,
        paths: npt.NDArray[np.floating],
        widths: npt.NDArray[np.floating],
        values: npt.NDArray[np.integer],
    ) -> None:
        """Draws n open lines of k points: `paths` (n, k, 2), `widths` (n,), `values` (n,)."""
        pixels = ((paths + SPAN) * (UNIT * _OVERSAMPLING)).reshape(len(paths), -1).tolist()
        thickness = np.clip(widths * UNIT * _OVERSAMPLING + 0.5, 1, None).astype(int).tolist()
        for path, wide, value in zip(pixels, thickness, values.tolist(), strict=True):
            self._draw.line(path, value, wide)

    def polygon(self, points: npt.ArrayLike, value: int) -> None:
        """A filled polygon."""
        self._draw.polygon(self._pixels(points), value)

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, value: int) -> None:
        """A filled ellipse around (x, y)."""
        box = [(x - half_width, y - half_height), (x + half_width, y + half_height)]
        self._draw.ellipse(self._pixels(box), value)

    def bone(self, points: npt.ArrayLike, width: float) -> None:
        """A tube along `points` with a dense rim."""
        path = np.asarray(points, np.float64)
        along = np.empty_like(path)  # as np.gradient, which takes longer than all else
        along[1:-1] = path[2:] - path[:-2]
        along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
        normal = along[:, ::-1] * (-1, 1) / np.hypot(along[:, :1], along[:, 1:])
        for thickness, value in ((width, 235), (0.55 * width, 180)):
            offset = normal * (thickness / 2)
            self.polygon(np.concatenate([path + offset, (path - offset)[::-1]]), value)

    def image(self, *, softness: int = 1) -> FloatImage:
        """(360, 360) drawing, its edges `softness` pixels wide (a divisor of 360)."""
        reduced = self._image.reduce(_OVERSAMPLING * softness)
        if softness > 1:
            reduced = reduced.filter(ImageFilter.GaussianBlur(0.8))
            reduced = reduced.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
        return np.asarray(reduced, np.float32) / np.float32(255)
