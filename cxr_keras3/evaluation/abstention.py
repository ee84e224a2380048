"""When the model should not answer: prediction sets and their coverage, and accuracy against the share answered."""

import numpy as np

from cxr_keras3.run.calibration import COVERAGES, Calibration
from cxr_keras3.run.metrics import PredictionSets
from cxr_keras3.statistics.bootstrap import mean, share
from cxr_keras3.statistics.figures import Figure

SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def prediction_sets(
    calibration: Calibration, probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, PredictionSets]:
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
        found[coverage] = PredictionSets(
            all=share(holds, groups=groups),
            by_class={
                name: share(holds[labels == index], groups=groups[labels == index])
                for index, name in enumerate(calibration.class_names)
            },
            mean_size=mean(sizes.astype(float), groups=groups),
            sizes={str(size): int((sizes == size).sum()) for size in range(len(calibration.class_names) + 1)},
            accuracy_of_single_answers=share(holds[sizes == 1], groups=groups[sizes == 1]),
        )
    return found


def accuracy_by_share_answered(
    probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, Figure]:
    """Accuracy on the share of images the model is surest of, by that share as text."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    right = (probabilities.argmax(axis=1) == labels)[order]
    return {
        str(part): share(right[:count], groups=groups[order][:count])
        for part in SHARES
        for count in [max(1, round(part * len(labels)))]
    }
