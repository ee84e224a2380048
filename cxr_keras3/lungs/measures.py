"""How well two masks agree: overlap, and how far their outlines lie apart."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def dice(one: Mask, other: Mask) -> float:
    """Twice the common area over the sum of both (Dice, Ecology 26, 1945), 0..1; 1 where both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False])).__round__(2)
    0.67
    """
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def surface_distance(one: Mask, other: Mask) -> float:
    """The average distance of two outlines, both ways, as a share of the picture's side.

    The average symmetric surface distance (Heimann et al., IEEE Transactions on Medical Imaging 28, 2009), in units of
    the height, since the size of a pixel on the patient is not known. NaN where a mask is empty.
    """
    outlines = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    if not all(outline.any() for outline in outlines):
        return float("nan")
    to = [ndimage.distance_transform_edt(~outline) for outline in outlines]
    distances = np.concatenate([to[1][outlines[0]], to[0][outlines[1]]])
    return float(distances.mean() / one.shape[0])
