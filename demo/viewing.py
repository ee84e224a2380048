"""What the viewer in the browser is given: the film, its maps, in pictures and in words. Pure functions."""

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.lungs import pictures as lungs
from cxr_keras3.serving import Prediction
from demo import pictures
from demo.reading import Reading

MAP_SIDE = 96
"""Height and width of an activation map on the page; the model's own have some 7 x 7 cells."""
Lines = list[list[list[float]]]
FAINTEST = 8
"""Strength below which a map shows nothing to speak of, and gets no outline."""
PLACES = (("upper", "middle", "lower"), ("left", "centre", "right"))
GREYS = images.Window(level=128, width=256, lowest=0, highest=255)
"""Shows 8 bits as they are."""


@dataclass(frozen=True)
class ClassMap:
    """An activation map as the viewer in the browser takes it.

    Attributes:
        name: The class.
        bytes: Its strength, 0 to 255, `MAP_SIDE` x `MAP_SIDE` bytes in base64.
        words: Where it lies.
    """

    name: str
    bytes: str
    words: str


@dataclass(frozen=True)
class View:
    """What the viewer in the browser needs: the film and the activation maps, all at once.

    Attributes:
        film: A PNG as a data URI; None where the file could not be read.
        alt: The picture in words.
        side: Height and width of a map.
        maps: A map a class.
        lungs: The outlines of the patient's right lung and of the left: lines of points, across and down, as shares of
            the picture; none where the film was not accepted.
        size: Columns and rows of the film itself.
        window: The window that is set at first, and again by a reset, in stored values; `GREYS` where the file holds
            greys.
        is_whole: Whether `film` is all that there is to see: in its own size, and its greys those of the file.
        origin: What the file held, where that is more than greys of 8 bits.
        spacing: Millimetres between rows and between columns of the film; None where the file does not say.
        chosen: The class shown first; empty where the model has no ground to name one.
    """

    film: str | None
    alt: str
    side: int
    maps: tuple[ClassMap, ...]
    lungs: tuple[Lines, ...]
    size: tuple[int, int]
    window: images.Window
    is_whole: bool
    origin: str
    spacing: tuple[float, float] | None
    chosen: str


def view(reading: Reading) -> View:
    """What the viewer shows of a film."""
    prediction = reading.prediction
    return View(
        film=None if reading.pixels is None else pictures.data_uri(pictures.reduced(reading.pixels)),
        alt=f"Chest film {prediction.file}" if reading.pixels is not None else "",
        side=MAP_SIDE,
        maps=tuple(
            ClassMap(name, base64.b64encode(values.tobytes()).decode(), _said_of_map(values, name))
            for name, values in strengths(prediction).items()
        ),
        lungs=outlines(prediction),
        size=(0, 0) if reading.pixels is None else (reading.pixels.shape[1], reading.pixels.shape[0]),
        window=reading.window or GREYS,
        is_whole=reading.pixels is None or (reading.window is None and max(reading.pixels.shape) <= pictures.SIDE),
        origin="" if reading.mode == "L" else reading.mode,
        spacing=reading.spacing,
        chosen="" if prediction.withheld else prediction.predicted,
    )


def outlines(prediction: Prediction) -> tuple[Lines, ...]:
    """`View.lungs` of an answer."""
    if prediction.lungs is None:
        return ()
    return tuple(
        [np.round(line, 4).tolist() for line in lungs.contours(prediction.lungs[..., side])] for side in range(2)
    )


def strengths(prediction: Prediction) -> dict[str, npt.NDArray[np.uint8]]:
    """How much each place speaks for each class, from 0 to 255 for the most that any place does for any class.

    One scale for all classes, so that the map of an improbable class stays faint. What speaks against a class is
    left out, as in `cxr_keras3.serving.heat_maps`.

    Returns:
        Class name to uint8 (`MAP_SIDE`, `MAP_SIDE`); empty where the film was not accepted.
    """
    if prediction.activation_maps is None:
        return {}
    size = (MAP_SIDE, MAP_SIDE)
    positive = {
        name: np.maximum(np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)), 0.0)
        for name, cells in prediction.activation_maps.items()
    }
    largest = max(1e-6, *(float(values.max()) for values in positive.values()))
    return {name: np.rint(255.0 * values / largest).astype(np.uint8) for name, values in positive.items()}


def in_words(strength: npt.NDArray[np.uint8], name: str) -> str:
    """Where a map lies, for those who cannot see it and as a check for those who can."""
    largest = int(strength.max())
    if largest < FAINTEST:
        return f"Nothing on this film speaks for {name} to speak of."
    row, column = (3 * int(index) // MAP_SIDE for index in np.unravel_index(strength.argmax(), strength.shape))
    vertical, horizontal = PLACES[0][row], PLACES[1][column]
    place = "centre" if (row, column) == (1, 1) else f"{vertical} {horizontal}"
    relative = "" if largest > 250 else f", {100 * largest / 255:.0f} % of the strongest of all classes"
    return f"What speaks for {name} is strongest in the {place} of the picture{relative}."


def _said_of_map(strength: npt.NDArray[np.uint8], name: str) -> str:
    """The map in words, and what the line around it encloses, which the viewer draws."""
    largest = int(strength.max())
    said = in_words(strength, name)
    if largest < FAINTEST:
        return said
    hot = float((strength >= largest / 2).mean())
    return f"{said} The outline encloses at least half of that, {100 * hot:.0f} % of the film."
