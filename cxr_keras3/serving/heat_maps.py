"""Pictures of where a prediction comes from: the activation map of its class over the film."""

import hashlib
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base import files
from cxr_keras3.lungs import pictures
from cxr_keras3.serving.prediction import Prediction

OPACITY = 0.6  # of the warmest place; the film must stay readable below it


def overlay(film: npt.NDArray[np.uint8], activation_map: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Lays what speaks for a class over a film, warmer for more.

    Args:
        film: uint8 (height, width).
        activation_map: float32 (h, w), in logits. What speaks against the class, below zero, is left out; the
            colours run from zero to the map's own largest value, so they compare places, not films.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    import matplotlib as mpl  # noqa: PLC0415 -- takes a third of a second that scoring without pictures saves

    height, width = film.shape
    smooth = Image.fromarray(activation_map.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    positive = np.maximum(np.asarray(smooth), 0.0)
    strength = positive / max(float(positive.max()), 1e-6)
    colours = mpl.colormaps["inferno"](strength)[..., :3] * 255.0
    weight = OPACITY * strength[..., np.newaxis]
    mixed = np.rint((1.0 - weight) * film[..., np.newaxis] + weight * colours)
    return np.asarray(mixed, dtype=np.uint8)


def drawn(prediction: Prediction, film: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The map of an accepted prediction's class over its film, and the outlines of the lungs.

    Args:
        prediction: The prediction.
        film: Its film at any size, uint8 (height, width).

    Returns:
        uint8 (height, width, 3), RGB.
    """
    if prediction.activation_maps is None or prediction.lungs is None:
        raise ValueError(f"{prediction.file} was not accepted, so there is no map of it")
    return pictures.draw(overlay(film, prediction.activation_maps[prediction.predicted]), prediction.lungs)


def save(prediction: Prediction, folder: Path) -> Path:
    """Writes the picture of an accepted prediction's class as a PNG.

    Its name is the file's own and eight characters that tell files of one name in different places apart.
    """
    if prediction.image is None:
        raise ValueError(f"{prediction.file} was not read, so there is no map of it")
    digest = hashlib.sha256(prediction.file.encode()).hexdigest()[:8]
    name = files.short(PurePath(prediction.file).name, room=60)
    path = folder / f"{name}-{digest}.png"
    Image.fromarray(drawn(prediction, prediction.image)).save(path)
    return path
