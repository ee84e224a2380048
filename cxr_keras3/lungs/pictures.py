"""Films with the outlines of their lungs, as pictures."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from cxr_keras3.lungs.sides import joined

COLOURS = ((255, 176, 0), (0, 200, 255))
"""Of the patient's right lung and of the left."""

TRUTH = (120, 255, 120)
"""Of what a person drew."""


def outlined(
    film: npt.NDArray[np.uint8], lungs: npt.NDArray[np.bool_], *, truth: npt.NDArray[np.bool_] | None = None
) -> Image.Image:
    """A film in colour with the outlines drawn in.

    Args:
        film: uint8 (H, W) or (H, W, 1).
        lungs: bool (h, w, 2), at any size.
        truth: What a person drew, bool (h, w, 2), where it is known.
    """
    grey = Image.fromarray(film.reshape(film.shape[:2]))
    shown = np.array(grey.convert("RGB"))
    layers = [] if truth is None else [(joined(truth), TRUTH)]
    layers += [(lungs[..., side], colour) for side, colour in enumerate(COLOURS)]
    for mask, colour in layers:
        inside = np.asarray(Image.fromarray(mask).resize(grey.size, Image.Resampling.NEAREST))
        shown[inside & ~ndimage.binary_erosion(inside, iterations=2)] = colour
    return Image.fromarray(shown)


def mask(lungs: npt.NDArray[np.bool_]) -> Image.Image:
    """Lungs bool (H, W, 2) as a picture of one byte a pixel: 0 nothing, 1 the right lung, 2 the left; in colours."""
    drawn = Image.fromarray((lungs[..., 0] + 2 * (lungs[..., 1] & ~lungs[..., 0])).astype(np.uint8))
    drawn.putpalette([0, 0, 0, *COLOURS[0], *COLOURS[1]])
    return drawn


def sheet(pictures: list[tuple[str, Image.Image]], *, columns: int = 5, side: int = 256) -> Image.Image:
    """Pictures side by side, each with its words below."""
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (side + 6), rows * (side + 24)), "white")
    pen = ImageDraw.Draw(whole)
    for number, (words, picture) in enumerate(pictures):
        corner = (number % columns) * (side + 6) + 3, (number // columns) * (side + 24) + 3
        whole.paste(picture.resize((side, side)), corner)
        pen.text((corner[0], corner[1] + side + 3), words, fill="black")
    return whole
