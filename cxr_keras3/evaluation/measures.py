"""What can be said of any labelled images: figures, calibration, triage and abstention."""

import dataclasses
from typing import Any

import numpy as np

from cxr_keras3.evaluation.abstention import accuracy_by_share_answered, prediction_sets
from cxr_keras3.evaluation.triage import triage
from cxr_keras3.run import calibration
from cxr_keras3.statistics import metrics


def measure(
    calibrated: calibration.Calibration, logits: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, Any]:
    """What metrics.json says of a set of images, whatever they are, see docs/metrics-schema.md.

    Args:
        calibrated: The run's calibration.
        logits: float (N, classes).
        labels: int (N,).
        groups: (N,), equal for images of one patient or near-duplicates.
    """
    probabilities = calibrated.probabilities(logits)
    names = calibrated.class_names
    before = metrics.headline_figures(labels, metrics.softmax(logits), groups=groups)
    after = metrics.headline_figures(labels, probabilities, groups=groups)
    changed = ("expected_calibration_error", "brier", "log_loss")
    return {
        "images": len(labels),
        **after,
        "by_class": metrics.by_class(labels, probabilities, class_names=names, groups=groups),
        "confusion_matrix": metrics.confusion_matrix(labels, probabilities.argmax(axis=1), class_count=len(names)),
        "calibration": {
            **dataclasses.asdict(calibrated),
            "before": {name: before[name] for name in changed},
            "after": {name: after[name] for name in changed},
        },
        "triage": triage(calibrated, probabilities, labels, groups=groups),
        "prediction_sets": prediction_sets(calibrated, probabilities, labels, groups=groups),
        "accuracy_by_share_answered": accuracy_by_share_answered(probabilities, labels, groups=groups),
    }
