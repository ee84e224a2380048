"""What the flag would mean at a reader's desk: how many abnormal images it finds, how many normal ones it spares."""

from typing import Any

import numpy as np

from cxr_keras3.run.calibration import NORMAL, Calibration
from cxr_keras3.statistics import metrics

PREVALENCES = (0.05, 0.10, 0.25, 0.50)
"""Shares of abnormal studies for which predictive values are stated: the test split's own share is of its making."""


def triage(
    calibration: Calibration, probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, Any]:
    """Sensitivity and specificity of the flag, and what follows from them at stated prevalences.

    Args:
        calibration: Holds the threshold, chosen on the validation split.
        probabilities: Calibrated, float (N, classes).
        labels: int (N,).
        groups: (N,).

    Returns:
        Figures with intervals; None where the images hold only one kind. `normal_spared_per_thousand` are the
        normal studies of a thousand studies that are not flagged, `abnormal_missed_per_thousand` the abnormal.
    """
    scores = calibration.abnormal_score(probabilities)
    flags = calibration.flag(scores)
    abnormal = labels != calibration.class_names.index(NORMAL)

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        sensitivity = metrics.weighted_mean(flags, weights * abnormal)
        specificity = metrics.weighted_mean(~flags, weights * ~abnormal)
        found = {"auroc": metrics.auroc(abnormal, scores, weights)}
        for prevalence in PREVALENCES:
            true_alarms, false_alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
            spared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
            with np.errstate(invalid="ignore"):  # without any alarm there is no predictive value: NaN
                found[f"positive_predictive_value/{prevalence}"] = true_alarms / (true_alarms + false_alarms)
                found[f"negative_predictive_value/{prevalence}"] = spared / (spared + missed)
            found[f"normal_spared_per_thousand/{prevalence}"] = 1000 * spared
            found[f"abnormal_missed_per_thousand/{prevalence}"] = 1000 * missed
        return found

    figures = metrics.bootstrap(compute, groups=groups)
    by_prevalence: dict[str, dict[str, metrics.Figure]] = {str(prevalence): {} for prevalence in PREVALENCES}
    for key, figure in figures.items():
        name, _, prevalence = key.partition("/")
        if prevalence:
            by_prevalence[prevalence][name] = figure
    return {
        "sensitivity_aimed_at": calibration.sensitivity,
        "threshold": calibration.abnormal_threshold,
        "auroc": figures["auroc"],
        "sensitivity": metrics.share(flags[abnormal], groups=groups[abnormal]),
        "specificity": metrics.share(~flags[~abnormal], groups=groups[~abnormal]),
        "by_prevalence": by_prevalence,
    }
