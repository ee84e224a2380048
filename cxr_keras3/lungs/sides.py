"""Both lungs and each: joins two masks, and tells the right lung from the left in one of both."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cxr_keras3.base.errors import UserError

SIZE = 256
"""Side in pixels of the masks."""

LUNGS = ("right", "left")
"""The patient's; the right lung is at the reader's left."""

LEAST_SHARE = 0.004
"""Share of the picture below which a piece of a mask is no lung but a slip of the pen."""


def joined(lungs: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Both lungs in one mask: bool (…, 2) to bool (…)."""
    return np.asarray(lungs[..., 0] | lungs[..., 1])


def divided(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Divides a mask of both lungs.

    The pieces left of the middle between the lungs are the patient's right lung. Where both lungs are one piece, it is
    cut at its narrowest column near its middle.

    Args:
        mask: bool (H, W), true in either lung.

    Returns:
        bool (H, W, 2): the patient's right lung, which is at the left of the picture, and the left one.

    Raises:
        UserError: Where the mask is empty.
    """
    pieces, count = ndimage.label(mask)
    sizes = np.asarray(ndimage.sum_labels(mask, pieces, np.arange(1, count + 1)))
    kept = [number for number, size in enumerate(sizes, start=1) if size >= LEAST_SHARE * mask.size]
    if not kept:
        raise UserError("a lung mask must hold a lung, it is empty; leave the film out")
    cleaned = np.isin(pieces, kept)
    if len(kept) > 1:
        centres = {number: float(ndimage.center_of_mass(pieces == number)[1]) for number in kept}
        largest = sorted(kept, key=lambda number: sizes[number - 1])[-2:]
        middle = sum(centres[number] for number in largest) / 2
        right = np.isin(pieces, [number for number in kept if centres[number] < middle])
        return np.stack([right, cleaned & ~right], axis=-1)
    columns = np.flatnonzero(cleaned.any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    third = (last - first) // 3
    heights = cleaned[:, first + third : last - third + 1].sum(axis=0)
    cut = first + third + int(heights.argmin())
    at_left = np.arange(mask.shape[1])[None, :] < cut
    return np.stack([cleaned & at_left, cleaned & ~at_left], axis=-1)
