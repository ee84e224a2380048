"""Classification metrics, scikit-learn's, with intervals from a bootstrap over groups."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn import metrics as sklearn_metrics

Metric = Callable[[np.ndarray, np.ndarray], float]


def _accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(sklearn_metrics.accuracy_score(labels, probabilities.argmax(axis=1)))


def _balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    recalls = sklearn_metrics.recall_score(
        labels, probabilities.argmax(axis=1), labels=np.unique(labels), average="macro", zero_division=0.0
    )
    return float(recalls)


def _macro_f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(
        sklearn_metrics.f1_score(
            labels, probabilities.argmax(axis=1), labels=np.unique(labels), average="macro", zero_division=0.0
        )
    )


def _macro_auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """One class against the rest, averaged over the classes present; NaN where only one is."""
    present = np.unique(labels)
    if len(present) < 2:
        return float("nan")
    areas = [sklearn_metrics.roc_auc_score(labels == index, probabilities[:, index]) for index in present]
    return float(np.mean(areas))


HEADLINES: Mapping[str, Metric] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "macro_auroc": _macro_auroc,
}
"""Headline figures by name; each takes labels int (N,) and probabilities float (N, classes)."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) that sum to one in float64, from logits of the same shape."""
    shifted = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def bootstrap(
    metric: Metric,
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: np.ndarray,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, float | None]:
    """A metric and its percentile interval from a bootstrap over groups.

    Groups (patients, near-duplicates) are drawn with replacement, each with all its images: drawing
    images would pretend that two films of one patient are independent (Efron & Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapter 8).

    Args:
        metric: What to compute.
        labels: int (N,).
        probabilities: float (N, classes).
        groups: (N,), equal for images of one group.
        resamples: Number of bootstrap samples.
        level: Share of the bootstrap distribution inside the interval.
        seed: Decides the samples.

    Returns:
        `value` on the images as they are, and the interval's `low` and `high`; None where undefined.
    """
    generator = np.random.default_rng(seed)
    _, group_of_image = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of_image, kind="stable"), np.cumsum(np.bincount(group_of_image))[:-1])
    values = []
    for _ in range(resamples):
        drawn = generator.integers(len(members), size=len(members))
        chosen = np.concatenate([members[index] for index in drawn])
        values.append(metric(labels[chosen], probabilities[chosen]))
    tail = (1.0 - level) / 2.0
    value = metric(labels, probabilities)
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanquantile(values, [tail, 1.0 - tail])
    return {"value": value, "low": float(low), "high": float(high)}


def headline_figures(labels: np.ndarray, probabilities: np.ndarray, *, groups: np.ndarray) -> dict[str, Any]:
    """Every headline figure as `{value, low, high}`, see `bootstrap`."""
    return {name: bootstrap(metric, labels, probabilities, groups=groups) for name, metric in HEADLINES.items()}


def by_class(labels: np.ndarray, predicted: np.ndarray, *, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Precision, recall, F1 and number of images of each class, scikit-learn's with 0 for an empty one."""
    columns = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(len(class_names)), zero_division=0.0
    )
    names = ("precision", "recall", "f1", "images")
    return {
        label: dict(zip(names, (float(p), float(r), float(f), int(n)), strict=True))
        for label, p, r, f, n in zip(class_names, *columns, strict=True)
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, *, class_count: int) -> list[list[int]]:
    """Counts, rows by true class and columns by predicted class (scikit-learn's convention)."""
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(class_count))
    return [[int(count) for count in row] for row in matrix]
