"""How good is it? The run's own evaluation as a page; nothing on it is typed in by hand. Without Gradio."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact
from demo.pages import page
from demo.run import Run
from demo.study import operating_point

HEADLINES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auroc": "AUROC, mean of the classes",
    "expected_calibration_error": "Calibration error",
}
VERDICTS = {
    "PASS": "No rule of the audit was broken: it beats every floor and depends on no cue that was tried.",
    "WARN": "The audit cannot clear it: what is listed here may explain a part of its figures without any disease.",
    "FAIL": "By what is listed here its figures do not show that it sees disease; its answers must not be trusted.",
}
"""What each verdict of the shortcut audit means to a reader."""
FLOORS = {
    "largest_class": "always the most frequent class",
    "source_oracle": "knows the film's collection and nothing else",
    "border_only": "sees the outer frame, no lung",
    "thumbnail": "sees a 32 x 32 thumbnail",
    "image_statistics": "sees brightness statistics only",
}
PLOT = 240  # side of the curves' square, in the units of their SVG
_CURVE_POINTS = 200

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Scored:
    """The rows of predictions.csv: labels int (N,), calibrated probabilities (N, classes)."""

    labels: npt.NDArray[np.int64]
    probabilities: Floats


def render(run: Run) -> str:
    """The page, as HTML; one sentence where the run was never evaluated.

    Raises:
        UserError: Where the evaluation's tables are missing or damaged.
    """
    if run.metrics is None:
        return page("not_evaluated.html").render(run=run)
    scored = _read_predictions(run)
    temperature = run.metrics["calibration"]["temperature"]
    return page("quality.html").render(
        run=run,
        metrics=run.metrics,
        headlines=HEADLINES,
        verdict=VERDICTS[run.metrics["audit"]["verdict"]],
        floors=_floors(run.metrics),
        operating_point=operating_point(run.metrics),
        confusion=_confusion(run.metrics["confusion_matrix"], run.class_names),
        roc=_roc(scored, run.metrics, run.class_names),
        reliability=_reliability(scored, temperature),
        plot=PLOT,
    )


def model_card(run: Run) -> str:
    """The run's model card in Markdown, without the header that is for machines; empty where there is none."""
    path = run.folder / artifact.MODEL_CARD
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8")
    return text.split("\n---\n", 1)[1].strip() if text.startswith("---\n") else text


def _read_predictions(run: Run) -> _Scored:
    path = run.evaluation / artifact.PREDICTIONS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        labels = np.array([run.class_names.index(row["label"]) for row in rows])
        probabilities = np.array([[float(row[name]) for name in run.class_names] for row in rows])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = f"run python -m cxr_keras3.evaluate {run.folder}"
        raise UserError(f"{path} is not a table of predictions ({type(error).__name__}: {error}); {remedy}") from error
    return _Scored(labels, probabilities)


def _floors(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [{"name": "the model", "figure": metrics["accuracy"]}]
    named = [{"name": FLOORS.get(name, name), "figure": figure} for name, figure in metrics["floors"].items()]
    return rows + sorted(named, key=lambda row: row["figure"]["value"], reverse=True)


def _confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row a true class: its count and share of each predicted class."""
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        total = max(1, sum(counts))
        cells = [
            {"count": count, "share": count / total, "right": names[index] == name}
            for index, count in enumerate(counts)
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _roc(scored: _Scored, metrics: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """A curve a class against the rest; none for a class that has all films or none."""
    from sklearn.metrics import roc_curve  # noqa: PLC0415 -- takes a second, and the page is not always opened

    curves = []
    for index, name in enumerate(names):
        positive = scored.labels == index
        if positive.any() and not positive.all():
            false_alarms, found, _ = roc_curve(positive, scored.probabilities[:, index])
            auroc = metrics["by_class"][name]["auroc"]
            curves.append({"name": name, "points": _points(false_alarms, found), "figure": auroc})
    return curves


def _reliability(scored: _Scored, temperature: float) -> list[dict[str, Any]]:
    """Accuracy against confidence, without the temperature and with it, a point a bin sized by its films."""
    before = np.log(np.maximum(scored.probabilities, 1e-9)) * temperature
    before = np.exp(before - before.max(axis=1, keepdims=True))
    before /= before.sum(axis=1, keepdims=True)
    return [
        {"name": name, **_bins(scored.labels, probabilities)}
        for name, probabilities in (("before temperature scaling", before), ("as served", scored.probabilities))
    ]


def _bins(labels: npt.NDArray[np.int64], probabilities: Floats) -> dict[str, Any]:
    from cxr_keras3.statistics.metrics import CALIBRATION_BINS as BINS  # noqa: PLC0415 -- imports scikit-learn, see above

    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    x, y = (np.bincount(bins, values, BINS)[filled] / counts[filled] for values in (confidence, right))
    radii = 2 + 8 * np.sqrt(counts[filled] / counts.max())
    dots = [
        {"x": f"{PLOT * a:.1f}", "y": f"{PLOT * (1 - b):.1f}", "r": f"{r:.1f}", "films": int(films)}
        for a, b, r, films in zip(x, y, radii, counts[filled], strict=True)
    ]
    return {"points": _points(x, y), "dots": dots}


def _points(x: Floats, y: Floats) -> str:
    """A line through points of 0..1 as SVG writes it, y upwards, thinned where there are many."""
    chosen = np.unique(np.linspace(0, len(x) - 1, _CURVE_POINTS).round().astype(int))
    return " ".join(f"{PLOT * x[i]:.1f},{PLOT * (1 - y[i]):.1f}" for i in chosen)
