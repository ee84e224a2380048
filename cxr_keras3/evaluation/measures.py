"""Measuring any labelled images: figures, calibration, triage and abstention."""

import numpy as np

from cxr_keras3.evaluation.abstention import accuracy_by_share_answered, prediction_sets
from cxr_keras3.evaluation.triage import triage
from cxr_keras3.run.answers import Answers
from cxr_keras3.run.calibration import NORMAL
from cxr_keras3.run.folder import Run
from cxr_keras3.run.metrics import AnswerFigures, CalibrationErrors, MeasuredCalibration, Measures, Reliability
from cxr_keras3.statistics import metrics
from cxr_keras3.statistics.bootstrap import share
from cxr_keras3.statistics.figures import Headlines


def measure(run: Run, logits: np.ndarray, answers: Answers, labels: np.ndarray, *, groups: np.ndarray) -> Measures:
    """Measures a set of images, whatever they are.

    Args:
        run: The run, calibrated.
        logits: float (N, classes).
        answers: What is answered.
        labels: int (N,).
        groups: (N,), equal for images of one patient or near-duplicates.
    """
    calibrated, probabilities, names = run.required_calibration, answers.probabilities, run.class_names
    before = metrics.headline_figures(labels, metrics.softmax(logits), groups=groups)
    after = metrics.headline_figures(labels, probabilities, groups=groups)
    return Measures(
        **after.headlines(),
        images=len(labels),
        by_class=metrics.class_figures(labels, probabilities, class_names=names, groups=groups),
        confusion_matrix=metrics.confusion_matrix(labels, probabilities.argmax(axis=1), class_count=len(names)),
        calibration=MeasuredCalibration(
            **vars(calibrated),
            before=_errors(before, metrics.softmax(logits), labels),
            after=_errors(after, probabilities, labels),
        ),
        triage=triage(calibrated, answers.abnormal_scores, labels, groups=groups),
        answers=answer_figures(answers, labels, normal=names.index(NORMAL), groups=groups),
        prediction_sets=prediction_sets(calibrated, probabilities, labels, groups=groups),
        accuracy_by_share_answered=accuracy_by_share_answered(probabilities, labels, groups=groups),
    )


def answer_figures(answers: Answers, labels: np.ndarray, *, normal: int, groups: np.ndarray) -> AnswerFigures:
    """What a reader is told, measured.

    Args:
        answers: Of N images.
        labels: int (N,).
        normal: The number of the class Normal.
        groups: (N,).
    """
    abnormal = answers.predicted != normal
    withheld = np.array([bool(reason) for reason in answers.withheld])
    right = answers.predicted == labels
    return AnswerFigures(
        accuracy=share(right, groups=groups),
        withheld=share(withheld[abnormal], groups=groups[abnormal]),
        accuracy_where_named=share(right[~withheld], groups=groups[~withheld]),
    )


def _errors(figures: Headlines, probabilities: np.ndarray, labels: np.ndarray) -> CalibrationErrors:
    return CalibrationErrors(
        expected_calibration_error=figures.expected_calibration_error,
        brier=figures.brier,
        log_loss=figures.log_loss,
        reliability=reliability(labels, probabilities),
    )


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Accuracy against confidence, in equal bins."""
    bins = metrics.CALIBRATION_BINS
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    filled = counts > 0
    x, y = (np.bincount(places, column, bins)[filled] / counts[filled] for column in (confidence, right))
    return Reliability(confidence=tuple(x.tolist()), accuracy=tuple(y.tolist()), images=tuple(counts[filled].tolist()))
