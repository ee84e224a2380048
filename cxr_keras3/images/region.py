"""What of a film a model is shown: all of it, the lungs alone, or the box around them."""

import numpy as np
from PIL import Image

from cxr_keras3.base.choices import Region
from cxr_keras3.images import canonical

MARGIN = 0.05  # share of the side left around the lungs' box, for a mask is not exact to the pixel


def restrict(image: np.ndarray, mask: np.ndarray, region: Region) -> np.ndarray:
    """Keeps a region of an image.

    Args:
        image: uint8 (299, 299, 1).
        mask: Lung mask of 0 and 255 on the same field of view, uint8 (256, 256, 1), not all 0.
        region: "full" leaves the image as it is, "lungs" makes all outside the mask black, "crop" takes the
            box around the lungs with a margin of 5 % of the side and brings it to the image's size.

    Returns:
        uint8 (299, 299, 1).
    """
    if region == "full":
        return image
    height, width = image.shape[:2]
    inside = np.asarray(Image.fromarray(mask[..., 0]).resize((width, height), Image.Resampling.NEAREST)) > 0
    if region == "lungs":
        return np.where(inside[..., np.newaxis], image, np.uint8(0))
    rows, columns = box(inside)
    return canonical(np.ascontiguousarray(image[rows, columns, 0]))


def extent(inside: np.ndarray) -> tuple[int, int, int, int]:
    """The first row and the one after the last, then the same of columns, of what is true in a mask, bool (H, W)."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def box(inside: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns around a mask, bool (H, W), with the margin."""
    top, bottom, left, right = extent(inside)
    height, width = inside.shape
    margin = round(MARGIN * height)
    return (
        slice(max(top - margin, 0), min(bottom + margin, height)),
        slice(max(left - margin, 0), min(right + margin, width)),
    )
