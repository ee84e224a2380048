"""One film: what the model says of it and what a reader is shown. Pure functions, without Gradio."""

import base64
import datetime as dt
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.lungs import pictures
from cxr_keras3.report.texts import operating_point
from cxr_keras3.serving import Prediction, Predictor, heat_maps
from cxr_keras3.serving.inputs import Input
from demo.pages import page

DISPLAY_SIDE = 1024
"""Longest side, in pixels, of a film on the page: what a screen shows, and a tenth of a second to send."""
MAP_SIDE = 96
"""Height and width of an activation map on the page; the model's own have some 7 x 7 cells."""
Lines = list[list[list[float]]]
FAINTEST = 8
"""Strength below which a map shows nothing to speak of, and gets no outline."""
PLACES = (("upper", "middle", "lower"), ("left", "centre", "right"))


@dataclass(frozen=True, eq=False)
class Reading:
    """One film and the answer to it.

    Attributes:
        prediction: The answer; its `file` is the bare name.
        digest: SHA-256 of the file, in hexadecimal.
        created: When it was read, ISO 8601 in UTC.
        pixels: uint8 (height, width), the whole film; None where it could not be read.
        mode: What the file held, see `images.Film.original_mode`; empty where it could not be read.
        spacing: Millimetres between rows and between columns; None where the file does not say.
    """

    prediction: Prediction
    digest: str
    created: str
    pixels: npt.NDArray[np.uint8] | None
    mode: str
    spacing: tuple[float, float] | None

    def record(self) -> dict[str, Any]:
        """The answer as JSON can hold it, with the file's hash."""
        return self.prediction.record() | {"sha256": self.digest}


def read_film(predictor: Predictor, name: str, content: bytes) -> Reading:
    """Scores one file.

    Args:
        predictor: The run that answers.
        name: What the file is called.
        content: Its bytes.
    """
    film = _decoded(predictor, content)
    film_input = Input(name, content if film is None else film)
    (prediction,) = predictor.predict([film_input], batch_size=1)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Reading(
        prediction=prediction,
        digest=hashlib.sha256(content).hexdigest(),
        created=now,
        pixels=None if film is None else film.pixels,
        mode="" if film is None else film.original_mode,
        spacing=None if film is None else film.spacing,
    )


def _decoded(predictor: Predictor, content: bytes) -> images.Film | None:
    try:
        return predictor.decode(content)
    except images.ImageError:  # the predictor words the refusal
        return None


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
class Download:
    """A file that the viewer offers."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Window:
    """Which stored values are shown, as DICOM PS3.3 C.11.2 has it; this one leaves 8 bits as they are."""

    level: float = 128
    width: float = 256


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
        window: Level and width that are set at first, and again by a reset.
        depth: What the greys are, in words.
        spacing: Millimetres between rows and between columns of the film; None where the file does not say.
        chosen: The class shown first; empty where the model has no ground to name one.
        files: What can be downloaded.
    """

    film: str | None
    alt: str
    side: int
    maps: tuple[ClassMap, ...]
    lungs: tuple[Lines, ...]
    size: tuple[int, int]
    window: Window
    depth: str
    spacing: tuple[float, float] | None
    chosen: str
    files: tuple[Download, ...] = ()


def view(reading: Reading, *, files: Sequence[Download] = ()) -> View:
    """What the viewer shows of a film."""
    prediction = reading.prediction
    return View(
        film=None if reading.pixels is None else data_uri(_reduced(reading.pixels)),
        alt=f"Chest film {prediction.file}" if reading.pixels is not None else "",
        side=MAP_SIDE,
        maps=tuple(
            ClassMap(name, base64.b64encode(values.tobytes()).decode(), _said_of_map(values, name))
            for name, values in strengths(prediction).items()
        ),
        lungs=outlines(prediction),
        size=(0, 0) if reading.pixels is None else (reading.pixels.shape[1], reading.pixels.shape[0]),
        window=Window(),
        depth=f"8 bits{'' if reading.mode == 'L' else ' of ' + reading.mode}",
        spacing=reading.spacing,
        chosen="" if prediction.withheld else prediction.predicted,
        files=tuple(files),
    )


def outlines(prediction: Prediction) -> tuple[Lines, ...]:
    """`View.lungs` of an answer."""
    if prediction.lungs is None:
        return ()
    return tuple(
        [np.round(line, 4).tolist() for line in pictures.contours(prediction.lungs[..., side])] for side in range(2)
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


def headline(predictor: Predictor, reading: Reading) -> str:
    """The answer in short, as HTML: what is shown first on every screen."""
    return page("headline.html").render(
        prediction=reading.prediction, operating_point=operating_point(predictor.run.metrics)
    )


def findings(predictor: Predictor, reading: Reading) -> str:
    """What stands below the answer, as HTML."""
    return page("findings.html").render(
        prediction=reading.prediction, operating_point=operating_point(predictor.run.metrics)
    )


def result_json(predictor: Predictor, reading: Reading) -> str:
    """The answer as a file, with when it was read and what the flag was decided by."""
    record = reading.record() | {"read": reading.created, "threshold": threshold(predictor)}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def threshold(predictor: Predictor) -> float | None:
    """The abnormal score from which a film is flagged; None where the run is not calibrated."""
    run = predictor.run
    calibration = run.site.calibration if run.site else run.calibration
    return None if calibration is None else calibration.abnormal_threshold


def result_page(predictor: Predictor, reading: Reading, *, said: list[str]) -> str:
    """The answer on one page to print or file, with the film and the map of its class inside.

    Args:
        predictor: The run that answered.
        reading: What it answered.
        said: What must be said of the run everywhere, see `demo.pages.banners`.
    """
    film = None if reading.prediction.image is None else data_uri(reading.prediction.image)
    return page("result.html").render(
        reading=reading,
        prediction=reading.prediction,
        said=said,
        film=film,
        overlay=_overlay(reading.prediction),
        words=_map_in_words(reading.prediction),
        operating_point=operating_point(predictor.run.metrics),
        threshold=threshold(predictor),
    )


def _map_in_words(prediction: Prediction) -> str:
    if not prediction.accepted:
        return ""
    return in_words(
        strengths(prediction)[prediction.predicted], "its class" if prediction.withheld else prediction.predicted
    )


def _overlay(prediction: Prediction) -> str | None:
    if prediction.image is None or not prediction.accepted:
        return None
    return data_uri(heat_maps.drawn(prediction, prediction.image))


def thumbnail(pixels: npt.NDArray[np.uint8], side: int) -> str:
    """A small JPEG of a grey picture as a data URI."""
    return data_uri(np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)), lossy=True)


def data_uri_of_png(content: bytes) -> str:
    """A PNG inside a text."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def data_uri(pixels: npt.NDArray[np.uint8], *, lossy: bool = False) -> str:
    """A picture, uint8 (h, w) or (h, w, 3), inside a text."""
    buffer = io.BytesIO()
    if lossy:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    else:
        Image.fromarray(pixels).save(buffer, "PNG")
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _reduced(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The film with its longest side at most `DISPLAY_SIDE`, undistorted."""
    height, width = pixels.shape
    factor = min(1.0, DISPLAY_SIDE / max(height, width))
    if factor == 1.0:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
