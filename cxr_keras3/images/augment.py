"""Random changes that leave a radiograph a plausible radiograph of the same finding.

No flip: the heart has a side. What to change is drawn on the host from a seed; the change itself is made
by Pillow there, or on the accelerator by `augment_on_device`, from the same numbers (docs/adr/0004). On a
CPU Pillow is the faster, and every backend then trains on the same images, bit for bit.
"""

import math
from dataclasses import astuple, dataclass
from statistics import NormalDist

import numpy as np
from PIL import Image

ROTATION_DEGREES = 8.0  # a patient stands, or the detector is held, this much askew
ZOOM = 0.1
SHIFT = 0.05
CONTRAST = 0.2
BRIGHTNESS = 25.0
GAMMA = 0.2  # natural logarithm of the exponent: 0.82 to 1.22
NOISE = 6.0  # standard deviation in grey levels, at most
BORDER = 0.06  # share of the side that each edge of the frame may lose
CORNER = 0.22  # share of the side that the box in a corner may take
ERASED = 0.5  # share of the images that lose frame, or a corner: side markers and captions are there

_NORMAL_QUANTILES = np.array([NormalDist().inv_cdf((level + 0.5) / 256) for level in range(256)], dtype=np.float32)


@dataclass(frozen=True)
class Change:
    """What is done to one image; lengths as shares of the side.

    Attributes:
        angle: Rotation about the centre in radians.
        zoom: Magnification about the centre.
        right: Shift of the field of view.
        down: The same, downwards.
        contrast: Factor about the image's mean.
        brightness: Grey levels added.
        gamma: Exponent of the grey scale, applied last.
        noise: Standard deviation in grey levels.
        border: Erased from every edge.
        corner_width: Of the erased box.
        corner_height: Of the erased box.
        corner: Which corner loses it: 0 upper left, 1 upper right, 2 lower left, 3 lower right.
        fill: Grey level of what is erased.
    """

    angle: float
    zoom: float
    right: float
    down: float
    contrast: float
    brightness: float
    gamma: float
    noise: float
    border: float
    corner_width: float
    corner_height: float
    corner: int
    fill: float


def draw(generator: np.random.Generator) -> Change:
    """Draws a change, every part of it uniform over its range."""
    uniform = generator.uniform(-1.0, 1.0, size=7)
    share = generator.uniform(0.0, 1.0, size=6)
    loses_border, loses_corner = share[4] < ERASED, share[5] < ERASED
    return Change(
        angle=math.radians(ROTATION_DEGREES) * uniform[0],
        zoom=1.0 + ZOOM * uniform[1],
        right=SHIFT * uniform[2],
        down=SHIFT * uniform[3],
        contrast=1.0 + CONTRAST * uniform[4],
        brightness=BRIGHTNESS * uniform[5],
        gamma=math.exp(GAMMA * uniform[6]),
        noise=NOISE * share[0],
        border=BORDER * share[1] * loses_border,
        corner_width=CORNER * share[2] * loses_corner,
        corner_height=CORNER * share[3] * loses_corner,
        corner=int(generator.integers(4)),
        fill=float(generator.integers(128)),
    )


def as_row(change: Change) -> np.ndarray:
    """The change as float32 (13,), in the order of its attributes, as `augment_on_device` takes it."""
    return np.array(astuple(change), dtype=np.float32)


def augment(image: np.ndarray, *, seed: tuple[int, ...]) -> np.ndarray:
    """Changes one image at random: rotation up to 8 degrees, zoom up to 10 %, shift up to 5 % of the side.

    Contrast changes up to 20 % about the image's mean, brightness up to 25 grey levels, gamma up to 0.2 in
    its logarithm; noise has a standard deviation up to 6 grey levels. Half of the images lose up to 6 % of
    their frame, half of them a box of up to 22 % of the side in a corner. What moves in from outside is black.

    Args:
        image: uint8 (H, W, 1).
        seed: Decides the change, for example (seed of the run, epoch, index of the image).

    Returns:
        uint8 (H, W, 1), an image that could have come from a file.
    """
    generator = np.random.default_rng(seed)
    change = draw(generator)
    moved = _move(_regrade(image[..., 0], change), change)
    noise = np.frombuffer(generator.bytes(moved.size), dtype=np.uint8)
    noisy = moved + np.rint(change.noise * _NORMAL_QUANTILES).astype(np.int16)[noise].reshape(moved.shape)
    outcome = np.clip(noisy, 0, 255).astype(np.uint8)
    _erase(outcome, change)
    return np.asarray(outcome[..., np.newaxis])


def _regrade(image: np.ndarray, change: Change) -> np.ndarray:
    mean = float(image.mean())
    levels = (np.arange(256) - mean) * change.contrast + mean + change.brightness
    levels = 255.0 * (np.clip(levels, 0.0, 255.0) / 255.0) ** change.gamma
    table: np.ndarray = np.rint(levels).astype(np.uint8)
    return np.asarray(table[image])


def _move(image: np.ndarray, change: Change) -> np.ndarray:
    """Rotation, zoom and shift in one map, so that the image is resampled once."""
    height, width = image.shape
    moved = Image.fromarray(image).transform(
        (width, height),
        Image.Transform.AFFINE,
        _affine(change, width, height),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(moved)


def _affine(change: Change, width: int, height: int) -> tuple[float, ...]:
    """The map from output to input coordinates as Pillow takes it: pixels are squares, the first one's centre 0.5."""
    cosine, sine = math.cos(change.angle) / change.zoom, math.sin(change.angle) / change.zoom
    x, y = width / 2, height / 2
    return (
        cosine, -sine, x - cosine * x + sine * y + change.right * width,
        sine, cosine, y - sine * x - cosine * y + change.down * height,
    )  # fmt: skip


def _erase(image: np.ndarray, change: Change) -> None:
    """Blanks frame and corner of an image in place."""
    height, width = image.shape
    down, right = round(change.border * height), round(change.border * width)
    image[:down] = image[height - down :] = change.fill
    image[:, :right] = image[:, width - right :] = change.fill
    rows, columns = round(change.corner_height * height), round(change.corner_width * width)
    top = slice(0, rows) if change.corner in (0, 1) else slice(height - rows, height)
    side = slice(0, columns) if change.corner in (0, 2) else slice(width - columns, width)
    image[top, side] = change.fill
