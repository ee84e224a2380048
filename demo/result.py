"""The answer to one film as a file: JSON, and one page to print.

Made when asked for: the page takes twice the time of the answer.
"""

import json
from dataclasses import dataclass

from cxr_keras3.report.texts import operating_point
from cxr_keras3.serving import Prediction, Predictor, heat_maps
from demo import pictures, reading, viewing
from demo.pages import page
from demo.reading import Reading


@dataclass(frozen=True)
class Download:
    """A file that the page offers."""

    name: str
    kind: str
    text: str


def downloads(predictor: Predictor, read: Reading, *, said: list[str]) -> list[Download]:
    """The answer as all the files that there are of it; see `result_page`."""
    stem = f"chest-film-{read.digest[:8]}"
    return [
        Download(f"{stem}.html", "text/html", result_page(predictor, read, said=said)),
        Download(f"{stem}.json", "application/json", result_json(predictor, read)),
    ]


def result_json(predictor: Predictor, read: Reading) -> str:
    """The answer as a file, with when it was read and what the flag was decided by."""
    record = read.record() | {"read": read.created, "threshold": reading.threshold(predictor)}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def result_page(predictor: Predictor, read: Reading, *, said: list[str]) -> str:
    """The answer on one page to print or file, with the film and the map of its class inside.

    Args:
        predictor: The run that answered.
        read: What it answered.
        said: What must be said of the run everywhere, see `demo.pages.banners`.
    """
    film = None if read.prediction.image is None else pictures.data_uri(read.prediction.image)
    return page("result.html").render(
        reading=read,
        prediction=read.prediction,
        said=said,
        film=film,
        overlay=_overlay(read.prediction),
        words=_map_in_words(read.prediction),
        operating_point=operating_point(predictor.run.metrics),
        threshold=reading.threshold(predictor),
    )


def _map_in_words(prediction: Prediction) -> str:
    if not prediction.accepted:
        return ""
    return viewing.in_words(
        viewing.strengths(prediction)[prediction.predicted],
        "its class" if prediction.withheld else prediction.predicted,
    )


def _overlay(prediction: Prediction) -> str | None:
    if prediction.image is None or not prediction.accepted:
        return None
    return pictures.data_uri(heat_maps.drawn(prediction, prediction.image))
