"""The outlines of lungs as lines, and films with the lines drawn in."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

COLOURS = ((255, 176, 0), (0, 200, 255))
"""Of the patient's right lung and of the left: told apart by those who see few colours, too."""

TRUTH = (120, 255, 120)
"""Of what a person drew."""

_SMOOTHING = 1.2  # pixels of the mask; wipes out its stairs
_FINER = 3  # times, at which lines are drawn, for smooth ones

Mask = npt.NDArray[np.bool_]


def contours(mask: Mask) -> list[npt.NDArray[np.float64]]:
    """The outlines of a mask.

    Args:
        mask: bool (H, W).

    Returns:
        Closed lines, each float (N, 2): across and down, as shares of width and height.
    """
    from contourpy import contour_generator  # noqa: PLC0415 -- only pictures need it

    padded = np.pad(mask.astype(np.float32), 1)
    lines = contour_generator(z=ndimage.gaussian_filter(padded, _SMOOTHING)).lines(0.5)
    size = np.array(mask.shape[::-1])
    return [np.clip((np.asarray(line) - 0.5) / size, 0.0, 1.0) for line in lines]


def draw(picture: npt.NDArray[np.uint8], lungs: Mask) -> npt.NDArray[np.uint8]:
    """Draws the outline of each lung, in `COLOURS`.

    Args:
        picture: uint8 (height, width, 3), or grey (height, width).
        lungs: bool (h, w, 2), at any size.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    return _drawn(picture, [(lungs[..., side], colour) for side, colour in enumerate(COLOURS)])


def draw_with_truth(film: npt.NDArray[np.uint8], lungs: Mask, truth: Mask) -> npt.NDArray[np.uint8]:
    """`draw`, on what a person drew, bool (h, w, 2), in `TRUTH`."""
    return draw(_drawn(film, [(truth[..., side], TRUTH) for side in range(len(COLOURS))]), lungs)


def _drawn(picture: npt.NDArray[np.uint8], masks: list[tuple[Mask, tuple[int, int, int]]]) -> npt.NDArray[np.uint8]:
    shown = Image.fromarray(picture).convert("RGB")
    width, height = shown.size
    cover = Image.new("RGBA", (_FINER * width, _FINER * height))
    pen = ImageDraw.Draw(cover)
    thick = max(1, round(max(width, height) / 220)) * _FINER
    for mask, colour in masks:
        for line in contours(mask):
            points = [tuple(point) for point in (line * cover.size).tolist()]
            pen.line(points, fill=(*colour, 255), width=thick, joint="curve")
    smooth = cover.resize(shown.size, Image.Resampling.BOX)
    shown.paste(smooth, mask=smooth)
    return np.asarray(shown)


def as_mask(lungs: Mask) -> Image.Image:
    """Lungs bool (H, W, 2) as a picture of one byte a pixel: 0 nothing, 1 the right lung, 2 the left; in colours."""
    drawn = Image.fromarray((lungs[..., 0] + 2 * (lungs[..., 1] & ~lungs[..., 0])).astype(np.uint8))
    drawn.putpalette([0, 0, 0, *COLOURS[0], *COLOURS[1]])
    return drawn


def sheet(pictures: list[tuple[str, npt.NDArray[np.uint8]]], *, columns: int = 5, side: int = 299) -> Image.Image:
    """Pictures side by side, each with its words below."""
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (side + 6), rows * (side + 24)), "white")
    pen = ImageDraw.Draw(whole)
    for number, (words, picture) in enumerate(pictures):
        corner = (number % columns) * (side + 6) + 3, (number // columns) * (side + 24) + 3
        whole.paste(Image.fromarray(picture).resize((side, side)), corner)
        pen.text((corner[0], corner[1] + side + 3), words[:48], fill="black")
    return whole
