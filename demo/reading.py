"""One film, and what the model says of it in words. Pure functions, without Gradio."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.report.texts import operating_point
from cxr_keras3.serving import Prediction, Predictor
from cxr_keras3.serving.inputs import Input
from demo.pages import page


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
        window: How stored values became greys; None where the file holds the greys themselves.
    """

    prediction: Prediction
    digest: str
    created: str
    pixels: npt.NDArray[np.uint8] | None
    mode: str
    spacing: tuple[float, float] | None
    window: images.Window | None

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
        window=None if film is None else film.window,
    )


def _decoded(predictor: Predictor, content: bytes) -> images.Film | None:
    try:
        return predictor.decode(content)
    except images.ImageError:  # the predictor words the refusal
        return None


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


def threshold(predictor: Predictor) -> float | None:
    """The abnormal score from which a film is flagged; None where the run is not calibrated."""
    run = predictor.run
    calibration = run.site.calibration if run.site else run.calibration
    return None if calibration is None else calibration.abnormal_threshold
