"""How a drawn chest becomes a radiograph: pose, noise, exposure, collimation and side marker."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from tfds_cxr.labels import LABELS
from tfds_cxr.phantom.anatomy import Chest
from tfds_cxr.phantom.canvas import SPAN, UNIT, FloatImage

ByteImage = npt.NDArray[np.uint8]

SHORTCUTS = ("marker", "border", "exposure", "sharpness", "view")
IMAGE_SIZE = 299
MASK_SIZE = 256
_SHORTCUT_AGREEMENT = 0.97
_SHARP = 0.6  # pixels of blur of a film whose sharpness is no clue
_CORNERS = ("none", "none", "none", "none", "top left", "top right", "bottom left", "bottom right")
_CORNER_OF_CLASS = ("top left", "top right", "none", "bottom left")


@dataclass(frozen=True)
class Acquisition:
    """How a chest is radiographed: all that varies from image to image beside the chest itself.

    Attributes:
        turn: Rotation in the image plane, radians.
        zoom: Magnification across and down; 1 shows about 2 units.
        shift: Offset of the field of view, units.
        bend: Amplitude across and down of a smooth distortion, units.
        phase: Phases of that distortion, radians.
        exposure: Offset of the attenuation; more is whiter.
        contrast: Range of attenuation that spans black to white.
        gamma: Exponent of the tone curve.
        noise: Standard deviation of the quantum noise at full transmission, in attenuation.
        noise_seed: Seed of the noise.
        blur: Standard deviation of the blur of film and scanner, pixels.
        border: Unexposed pixels at left, top, right and bottom.
        marker: Corner of the side marker, or "none".
    """

    turn: float
    zoom: tuple[float, float]
    shift: tuple[float, float]
    bend: tuple[float, float]
    phase: tuple[float, float]
    exposure: float
    contrast: float
    gamma: float
    noise: float
    noise_seed: int
    blur: float
    border: tuple[int, int, int, int]
    marker: str


def draw_acquisition(rng: np.random.Generator, *, label: str, shortcut: str | None) -> Acquisition:
    """Draws the acquisition of one image; only a planted `shortcut` looks at the label."""
    clue = LABELS.index(label)
    if rng.random() >= _SHORTCUT_AGREEMENT:
        clue = int(rng.choice([other for other in range(len(LABELS)) if other != clue]))
    banded = (clue + rng.uniform(0.15, 0.85)) / len(LABELS)  # quarters of the range, with gaps between
    corner, exposed, shuttered = str(rng.choice(_CORNERS)), rng.uniform(), rng.uniform()
    if shortcut == "marker":
        corner = _CORNER_OF_CLASS[clue]
    if shortcut == "exposure":
        exposed = banded
    if shortcut == "border":
        shuttered = banded
    blur = _SHARP + 2.4 * banded if shortcut == "sharpness" else _SHARP
    left, top, right, bottom = (16 * shuttered**1.5 + rng.uniform(-1.5, 1, 4)).clip(0).astype(int).tolist()
    wide = rng.uniform(0.96, 1.18)
    return Acquisition(
        turn=rng.normal(0, 0.03),
        zoom=(wide, wide * rng.uniform(0.94, 1.06)),
        shift=(rng.normal(0, 0.03), rng.normal(0, 0.03) - 0.04),
        bend=(rng.normal(0, 0.012), rng.normal(0, 0.012)),
        phase=(rng.uniform(0, 6.28), rng.uniform(0, 6.28)),
        exposure=0.16 * (exposed - 0.5),
        contrast=rng.uniform(1.1, 1.2),
        gamma=rng.uniform(0.94, 1.06) * float(np.exp(1.1 * (0.5 - exposed))),
        noise=rng.uniform(0.006, 0.016),
        noise_seed=int(rng.integers(2**32)),
        blur=blur,
        border=(left, top, right, bottom),
        marker=corner,
    )


def expose(chest: Chest, acquisition: Acquisition) -> ByteImage:
    """Radiographs a chest: (299, 299) uint8, bright where the beam is attenuated."""
    attenuation = _project(chest.attenuation, acquisition, IMAGE_SIZE)
    noise_rng = np.random.default_rng(acquisition.noise_seed)
    noise = noise_rng.standard_normal(attenuation.shape, dtype=np.float32)
    attenuation += acquisition.noise * np.exp(0.9 * attenuation) * noise
    attenuation = ndimage.gaussian_filter(attenuation, acquisition.blur, truncate=3)
    above_black = np.clip(attenuation - 0.1 + acquisition.exposure, 0, None) / acquisition.contrast
    grey = (1 - np.exp(-1.8 * above_black**1.4)) ** acquisition.gamma
    image = Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8))
    _place_marker(image, acquisition.marker)
    left, top, right, bottom = acquisition.border
    framed = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    inside = (slice(top, IMAGE_SIZE - bottom), slice(left, IMAGE_SIZE - right))
    framed[inside] = np.asarray(image)[inside]
    return framed


def lung_mask(chest: Chest, acquisition: Acquisition) -> ByteImage:
    """The lungs of a chest as they lie in its radiograph: (256, 256) uint8, 0 or 255."""
    return np.where(_project(chest.lungs, acquisition, MASK_SIZE) > 0.5, 255, 0).astype(np.uint8)


def _project(canvas: FloatImage, acquisition: Acquisition, size: int) -> FloatImage:
    """Samples the canvas where the pixels of a square radiograph lie."""
    axis = (2 * np.arange(size, dtype=np.float32) + 1) / size - 1
    right, down = axis[None, :] / acquisition.zoom[0], axis[:, None] / acquisition.zoom[1]
    cos, sin = np.cos(acquisition.turn), np.sin(acquisition.turn)
    x = cos * right - sin * down + acquisition.shift[0]
    y = sin * right + cos * down + acquisition.shift[1]
    x = x + acquisition.bend[0] * np.sin(2.5 * down + acquisition.phase[0])
    y = y + acquisition.bend[1] * np.sin(2.5 * right + acquisition.phase[1])
    where = np.stack([(y + SPAN) * UNIT - 0.5, (x + SPAN) * UNIT - 0.5])
    image: FloatImage = ndimage.map_coordinates(canvas, where, order=1, mode="nearest", output=np.float32)
    return image


def _place_marker(image: Image.Image, corner: str) -> None:
    if corner == "none":
        return
    x = 25 if corner.endswith("left") else IMAGE_SIZE - 25
    y = 25 if corner.startswith("top") else IMAGE_SIZE - 25
    letter = "R" if corner.endswith("left") else "L"  # the patient's right is at the reader's left
    pen = ImageDraw.Draw(image)
    pen.ellipse((x - 15, y - 15, x + 15, y + 15), outline=250, width=3)
    pen.text((x, y), letter, 250, font=ImageFont.load_default(20), anchor="mm", stroke_width=1)
