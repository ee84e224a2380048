"""Sharpness as a cue: how fine the detail of a film is, by its resolution, blur, noise and compression.

Disease does not make a film sharp; the scanner, the collection's resampling and its JPEG files do. A film is given the
sharpness of another by scaling its cosine transform, ring by ring, to the other's fall-off towards fine detail.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

from cxr_keras3.evaluation.audit.interventions import CORNER, SIDE, Images

FINE = 0.05
"""Cycles a pixel from which detail counts as fine: periods of 20 pixels, 7 % of the side, and less."""

LARGEST_GAIN = 8.0
"""A ring is raised or lowered by this factor at most, so that rounding noise is not blown up into a picture."""

DEGRADED_SIDE, DEGRADED_QUALITY = 224, 75

_RINGS = 24
_EDGES = np.geomspace(FINE / 4, 0.75, _RINGS + 1)  # cycles a pixel; the first rings are coarse detail, to compare with


def swap_sharpness(images: Images, donors: Images) -> Images:
    """Gives each image the donor's share of fine detail; layout, exposure and coarse detail stay its own."""
    rings = _rings(SIDE)
    swapped = np.empty_like(images)
    for index, (image, donor) in enumerate(zip(images, donors, strict=True)):
        gain = np.clip(_fall_off(donor) / _fall_off(image), 1 / LARGEST_GAIN, LARGEST_GAIN)
        gain[_EDGES[:-1] < FINE] = 1.0
        factors = np.interp(rings, _EDGES[:-1], gain)
        changed = fft.idctn(fft.dctn(image[..., 0].astype(np.float32), norm="ortho") * factors, norm="ortho")
        swapped[index, ..., 0] = np.clip(np.round(changed), 0, 255)
    return swapped


def _fall_off(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean amplitude of each ring inside the corners, over that of the coarse rings."""
    inner = image[CORNER:-CORNER, CORNER:-CORNER, 0].astype(np.float32)
    amplitudes = np.abs(fft.dctn(inner - inner.mean(), norm="ortho")).ravel()
    number = np.digitize(_rings(len(inner)).ravel(), _EDGES) - 1
    inside = (number >= 0) & (number < _RINGS)
    sums, counts = (np.bincount(number[inside], part, _RINGS) for part in (amplitudes[inside], None))
    means = np.maximum(sums / counts, 1e-3)  # an image of one grey has no detail
    return np.asarray(means / means[_EDGES[:-1] < FINE].mean())


def _rings(side: int) -> npt.NDArray[np.float64]:
    """Cycles a pixel of each coefficient of a cosine transform, (side, side)."""
    along = np.arange(side) / (2 * side)
    return np.asarray(np.hypot(along[:, None], along[None, :]))


def degraded(images: Images) -> Images:
    """Every image brought through 224 pixels and JPEG of quality 75, as collections of this kind often were."""
    return np.stack([_degraded(image) for image in images])


def _degraded(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    small = Image.fromarray(image[..., 0]).resize((DEGRADED_SIDE, DEGRADED_SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=DEGRADED_QUALITY)
    back = Image.open(buffer).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(back)[..., np.newaxis]
