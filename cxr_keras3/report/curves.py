"""Curves of each class against the rest, for the report's plots and the demo's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve


@dataclass(frozen=True, eq=False)
class Curve:
    """A class's curve.

    Attributes:
        index: The class's number.
        name: Its name.
        x: float (P,), 0..1.
        y: float (P,), 0..1.
    """

    index: int
    name: str
    x: np.ndarray
    y: np.ndarray


def roc_curves(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[Curve]:
    """Sensitivity against 1 - specificity; none for a class that has all images or none.

    Args:
        labels: int (N,).
        probabilities: float (N, classes).
        names: Of the classes.
    """
    found = []
    for index in _told_apart(labels, names):
        false_alarms, sensitivity, _ = roc_curve(labels == index, probabilities[:, index])
        found.append(Curve(index, names[index], false_alarms, sensitivity))
    return found


def precision_recall_curves(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[Curve]:
    """Precision against recall; arguments are those of `roc_curves`."""
    found = []
    for index in _told_apart(labels, names):
        precision, recall, _ = precision_recall_curve(labels == index, probabilities[:, index])
        found.append(Curve(index, names[index], recall, precision))
    return found


def _told_apart(labels: np.ndarray, names: Sequence[str]) -> Iterator[int]:
    """Classes with images both in and out of them."""
    for index in range(len(names)):
        if (labels == index).any() and (labels != index).any():
            yield index
