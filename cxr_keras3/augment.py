"""Random changes that leave a radiograph a plausible radiograph of the same finding.

No flip: the heart has a side. Rotation, zoom and shift are one affine map, so an image is resampled
once. It runs on the host in Pillow, not in the compiled step (docs/adr/0004): every backend trains on the
same images, bit for bit.
"""

import math

import numpy as np
from PIL import Image

ROTATION_DEGREES = 8.0  # a patient stands, or the detector is held, this much askew
ZOOM = 0.1
SHIFT = 0.05
CONTRAST = 0.2
BRIGHTNESS = 25.0


def augment(image: np.ndarray, *, seed: tuple[int, ...]) -> np.ndarray:
    """Changes one image at random.

    Rotation up to 8 degrees, zoom up to 10 %, shift up to 5 % of the size, contrast up to 20 % about the
    image's mean, brightness up to 25 grey levels, each uniform. What moves in from outside is black.

    Args:
        image: uint8 (H, W, 1).
        seed: Decides the change, for example (seed of the run, epoch, index of the image).

    Returns:
        uint8 (H, W, 1), an image that could have come from a file.
    """
    generator = np.random.default_rng(seed)
    angle, zoom, right, down, contrast, brightness = generator.uniform(-1.0, 1.0, size=6)
    levels = np.arange(256, dtype=np.float32)
    mean = float(image.mean())
    levels = (levels - mean) * (1.0 + CONTRAST * contrast) + mean + BRIGHTNESS * brightness
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    height, width = image.shape[:2]
    moved = Image.fromarray(table[image[..., 0]]).transform(
        (width, height),
        Image.Transform.AFFINE,
        _affine(
            math.radians(ROTATION_DEGREES * angle),
            1.0 + ZOOM * zoom,
            shift=(SHIFT * right * width, SHIFT * down * height),
            centre=(width / 2, height / 2),
        ),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(moved)[..., np.newaxis]


def _affine(angle: float, zoom: float, *, shift: tuple[float, float], centre: tuple[float, float]) -> tuple[float, ...]:
    """The map from output to input coordinates, as Pillow takes it: rotation and zoom about the centre."""
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    x, y = centre
    return (
        cosine, -sine, x - cosine * x + sine * y + shift[0],
        sine, cosine, y - sine * x - cosine * y + shift[1],
    )  # fmt: skip
