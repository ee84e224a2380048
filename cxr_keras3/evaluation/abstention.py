"""When the model should not answer: prediction sets and their coverage, and accuracy against the share answered."""

from typing import Any

import numpy as np

from cxr_keras3.run.calibration import COVERAGES, Calibration
from cxr_keras3.statistics import metrics

SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def prediction_sets(
    calibration: Calibration, probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, Any]:
    """How often the sets hold the true class, by class, and how large they are; by coverage aimed at.

    Args:
        calibration: Holds the thresholds, fitted on the validation split.
        probabilities: Calibrated, float (N, classes).
        labels: int (N,).
        groups: (N,).
    """
    found = {}
    for coverage in COVERAGES:
        sets = calibration.prediction_sets(probabilities, coverage)
        holds = sets[np.arange(len(labels)), labels]
        sizes = sets.sum(axis=1)
        found[coverage] = {
            "all": metrics.share(holds, groups=groups),
            "by_class": {
                name: metrics.share(holds[labels == index], groups=groups[labels == index])
                for index, name in enumerate(calibration.class_names)
            },
            "mean_size": metrics.mean(sizes.astype(float), groups=groups),
            "sizes": {str(size): int((sizes == size).sum()) for size in range(len(calibration.class_names) + 1)},
            "accuracy_of_single_answers": metrics.share(holds[sizes == 1], groups=groups[sizes == 1]),
        }
    return found


def accuracy_by_share_answered(
    probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, metrics.Figure]:
    """Accuracy on the share of images the model is surest of, by that share as text."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    right = (probabilities.argmax(axis=1) == labels)[order]
    return {
        str(share): metrics.share(right[:count], groups=groups[order][:count])
        for share in SHARES
        for count in [max(1, round(share * len(labels)))]
    }
