"""Films as another detector, archive or website would have left them: sharpness, resolution, compression, grey scale.

Sharpness and contrast tell the source of a film, and with it the class (Santosh et al., Scientific Reports 13, 2023,
s41598-023-39855-3); a network that sees each film in many appearances can't rely on one (domain randomisation: Tobin et
al., IROS 2017).
"""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

CHANCE = 0.5  # of each change, on a film that is redrawn
SMALLEST = 112  # pixels: a film may have been this small before it was brought to size
JPEG_QUALITY = (40, 96)
BLUR = 1.2  # largest radius in pixels
SHARPENING = 150  # largest, in percent
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)

Image8 = npt.NDArray[np.uint8]


class Appearance:
    """Redraws the appearance of training films; decided by seed, epoch and position.

    Attributes:
        share: Of the films that are redrawn, 0..1.
    """

    def __init__(self, images: Image8, *, share: float) -> None:
        """Takes the films, uint8 (N, 299, 299, 1), whose grey scales are lent to one another."""
        self.share = share
        self._cumulated = np.stack([_cumulated(image) for image in images])

    def __call__(self, film: Image8, *, seed: Sequence[int]) -> Image8:
        """The film, uint8 (299, 299, 1), as it is or redrawn."""
        generator = np.random.default_rng((*seed, 3))
        if generator.random() >= self.share:
            return film
        grey = film[..., 0]
        if generator.random() < CHANCE:
            other = self._cumulated[generator.integers(len(self._cumulated))]
            grey = with_greys_of(grey, other, share=generator.random())
        return redrawn(grey, generator)[..., np.newaxis]


def redrawn(grey: Image8, generator: np.random.Generator) -> Image8:
    """A film, uint8 (H, W), reduced and enlarged, blurred or sharpened, compressed: each by chance, in that order."""
    image = Image.fromarray(grey)
    chances = generator.random(3) < CHANCE
    if chances[0]:
        size = int(generator.integers(SMALLEST, min(image.size)))
        down, up = (_FILTERS[number] for number in generator.integers(len(_FILTERS), size=2))
        image = image.resize((size, size), down).resize(image.size, up)
    if chances[1]:
        strength = generator.uniform(-1.0, 1.0)
        blur = ImageFilter.GaussianBlur(-strength * BLUR)
        sharpen = ImageFilter.UnsharpMask(radius=2, percent=round(strength * SHARPENING), threshold=0)
        image = image.filter(blur if strength < 0 else sharpen)
    if chances[2]:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=int(generator.integers(*JPEG_QUALITY)))
        image = Image.open(packed)
    return np.asarray(image)


def with_greys_of(grey: Image8, other: npt.NDArray[np.float32], *, share: float) -> Image8:
    """A film with its grey values moved towards those of another film (histogram matching).

    Args:
        grey: uint8 (H, W).
        other: float32 (256,), the other film's cumulated histogram.
        share: How far, 0..1.
    """
    matched = np.interp(_cumulated(grey), other, np.arange(256))
    table = np.rint((1 - share) * np.arange(256) + share * matched).astype(np.uint8)
    return np.asarray(table[grey])


def _cumulated(image: Image8) -> npt.NDArray[np.float32]:
    """Share of the pixels at or below each grey value, float32 (256,)."""
    return np.asarray(np.bincount(image.ravel(), minlength=256).cumsum() / image.size, dtype=np.float32)
