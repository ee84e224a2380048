"""What the flag would mean at a reader's desk: how many abnormal images it finds, how many normal ones it spares."""

import numpy as np

from cxr_keras3.run.calibration import NORMAL, Calibration
from cxr_keras3.run.metrics import AtPrevalence, Triage
from cxr_keras3.statistics.bootstrap import Bootstrap, Statistic, ratio, share, weighted_mean
from cxr_keras3.statistics.metrics import auroc

PREVALENCES = (0.05, 0.10, 0.25, 0.50)
"""Shares of abnormal studies for which predictive values are stated: the test split's own share is of its making."""


def triage(calibration: Calibration, scores: np.ndarray, labels: np.ndarray, *, groups: np.ndarray) -> Triage:
    """Sensitivity and specificity of the flag, and what follows from them at stated prevalences.

    Args:
        calibration: Holds the threshold, chosen on the validation split.
        scores: The abnormal scores, float (N,).
        labels: int (N,).
        groups: (N,).

    Returns:
        Figures with intervals; None where the images hold only one kind. `normal_spared_per_thousand` are the
        normal studies of a thousand studies that are not flagged, `abnormal_missed_per_thousand` the abnormal.
    """
    flags = calibration.flag(scores)
    abnormal = labels != calibration.class_names.index(NORMAL)

    samples = Bootstrap(groups)
    found = {"sensitivity": _recall(flags, abnormal), "specificity": _recall(~flags, ~abnormal)}
    return Triage(
        sensitivity_aimed_at=calibration.sensitivity,
        threshold=calibration.abnormal_threshold,
        auroc=samples.figure(auroc(abnormal, scores)),
        sensitivity=share(flags[abnormal], groups=groups[abnormal]),
        specificity=share(~flags[~abnormal], groups=groups[~abnormal]),
        by_prevalence={str(prevalence): _at_prevalence(samples, prevalence, **found) for prevalence in PREVALENCES},
    )


def _recall(found: np.ndarray, kind: np.ndarray) -> Statistic:
    return lambda weights: weighted_mean(found, weights * kind)


def _at_prevalence(
    samples: Bootstrap, prevalence: float, *, sensitivity: Statistic, specificity: Statistic
) -> AtPrevalence:
    """What follows from sensitivity and specificity; undefined where nothing is flagged, or all is."""

    def spared(weights: np.ndarray) -> np.ndarray:
        return specificity(weights) * (1 - prevalence)

    def missed(weights: np.ndarray) -> np.ndarray:
        return (1 - sensitivity(weights)) * prevalence

    def positive_predictive_value(weights: np.ndarray) -> np.ndarray:
        true_alarms = sensitivity(weights) * prevalence
        return ratio(true_alarms, true_alarms + (1 - prevalence) - spared(weights))

    return AtPrevalence(
        positive_predictive_value=samples.figure(positive_predictive_value),
        negative_predictive_value=samples.figure(
            lambda weights: ratio(spared(weights), spared(weights) + missed(weights))
        ),
        normal_spared_per_thousand=samples.figure(lambda weights: 1000 * spared(weights)),
        abnormal_missed_per_thousand=samples.figure(lambda weights: 1000 * missed(weights)),
    )
