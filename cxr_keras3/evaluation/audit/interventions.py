"""Changed copies of images, to ask a model what it looks at: regions taken away, and cues swapped between images.

The regions follow Maguolo & Nanni ("A critic evaluation of methods for COVID-19 automatic detection from X-ray
images", Information Fusion 76, 2021), who blackened the lungs and found little lost. The swaps are interventions:
a cue of one image is put into another, and all else is left.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.bool_]

FRAME = 20
"""Width in pixels of the outer frame: 7 % of the side, wider than collimation and film edges usually reach in."""

CORNER = 60
"""Side in pixels of a corner: 20 % of the side, where side markers and text stand."""

INSET = 9
"""Pixels at the edge that belong to no corner, so that a swapped corner brings little of its border along."""

SIDE = 299
_BLUR = 12.0  # pixels; wipes out opacities, leaves where the lungs are and how bright


def lungs_only(images: Images, masks: Masks) -> Images:
    """Everything outside the lungs is black.

    Args:
        images: uint8 (N, 299, 299, 1).
        masks: bool (N, 299, 299), true in the lungs.

    Returns:
        uint8 (N, 299, 299, 1), as do the other functions of this module.
    """
    return np.where(masks[..., np.newaxis], images, np.uint8(0))


def background_only(images: Images, masks: Masks) -> Images:
    """The lungs are filled in with the mean grey of what surrounds them, outside the frame."""
    filled = images.copy()
    inner = np.zeros(masks.shape[1:], dtype=bool)
    inner[FRAME:-FRAME, FRAME:-FRAME] = True
    for image, mask in zip(filled, masks, strict=True):
        image[mask] = round(float(image[inner & ~mask].mean()))
    return filled


def lungs_blurred(images: Images, masks: Masks) -> Images:
    """The lungs are blurred by a Gaussian of 12 pixels."""
    blurred = np.stack([ndimage.gaussian_filter(image[..., 0], _BLUR)[..., np.newaxis] for image in images])
    return np.where(masks[..., np.newaxis], blurred, images)


def border_cropped(images: Images) -> Images:
    """The outer frame is cut off and the rest enlarged to the full size."""
    inner = images[:, FRAME:-FRAME, FRAME:-FRAME, 0]
    resized = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in inner]
    return np.stack(resized)[..., np.newaxis]


def swap_border(images: Images, donors: Images) -> Images:
    """The outer frame but for its corners is the donors', brought to the image's own exposure."""
    frame = np.ones((SIDE, SIDE, 1), dtype=bool)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    for rows, columns in _corners(0):
        frame[rows, columns] = False
    return np.where(frame, swap_exposure(donors, images), images)


def swap_corners(images: Images, donors: Images) -> Images:
    """The four corners but for their outermost pixels are the donors', brought to the image's own exposure."""
    inside = np.zeros((SIDE, SIDE, 1), dtype=bool)
    for rows, columns in _corners(INSET):
        inside[rows, columns] = True
    return np.where(inside, swap_exposure(donors, images), images)


def _corners(inset: int) -> list[tuple[slice, slice]]:
    ends = (slice(inset, CORNER), slice(SIDE - CORNER, SIDE - inset))
    return [(rows, columns) for rows in ends for columns in ends]


def swap_exposure(images: Images, donors: Images) -> Images:
    """The tone curve is bent by a power until the brighter half of the image is as bright as the donors'.

    Black and white stay, so borders and markers do; the brighter half is the soft tissue around the lungs, so that
    what disease does to the lungs is left out.
    """
    levels = np.arange(256) / 255.0
    brightness, wanted = _soft_tissue(images), _soft_tissue(donors)
    powers = np.log(wanted) / np.log(brightness)
    tables = np.round(255.0 * levels[np.newaxis] ** powers[:, np.newaxis]).astype(np.uint8)
    return np.stack([table[image] for table, image in zip(tables, images, strict=True)])


def _soft_tissue(images: Images) -> npt.NDArray[np.float64]:
    """The upper quartile of grey inside the frame, in (0, 1)."""
    inner = images[:, FRAME:-FRAME, FRAME:-FRAME].reshape(len(images), -1)
    return np.asarray(np.clip(np.percentile(inner, 75, axis=1) / 255.0, 0.02, 0.98))
