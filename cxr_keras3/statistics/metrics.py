"""Classification metrics, equal to scikit-learn's to 1e-12 with its `sample_weight` (a test holds them to it).

They are written for many weightings at once: a bootstrap sample is a weighting of the images by how often each was
drawn, so a thousand samples of the published test split take seconds rather than an hour. Each function here of labels
and probabilities makes a `Statistic` for `bootstrap.Bootstrap.figure`.

>>> import numpy as np
>>> labels = np.array([0, 0, 1, 1])
>>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
>>> headline_figures(labels, probabilities, groups=np.arange(4)).accuracy.value
0.75
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import special
from sklearn import metrics as sklearn_metrics

from cxr_keras3.statistics.bootstrap import Bootstrap, Statistic, ratio, share, weighted_mean
from cxr_keras3.statistics.figures import ClassFigures, Headlines

CALIBRATION_BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) that sum to one in float64, from logits of the same shape."""
    return np.asarray(special.softmax(np.asarray(logits, dtype=np.float64), axis=1))


def headline_figures(labels: np.ndarray, probabilities: np.ndarray, *, groups: np.ndarray) -> Headlines:
    """The headline figures with their intervals.

    Args:
        labels: int (N,).
        probabilities: float (N, classes), rows that sum to one.
        groups: (N,), equal for images of one group.
    """
    samples = Bootstrap(groups)
    figures = {name: samples.figure(make(labels, probabilities)) for name, make in HEADLINES.items()}
    figures["accuracy"] = share(probabilities.argmax(axis=1) == labels, groups=groups)
    return Headlines(**figures)


def class_figures(
    labels: np.ndarray, probabilities: np.ndarray, *, class_names: Sequence[str], groups: np.ndarray
) -> dict[str, ClassFigures]:
    """The figures of each class, by its name."""
    predicted = probabilities.argmax(axis=1)
    samples = Bootstrap(groups)
    found = {}
    for index, name in enumerate(class_names):
        of_class, called = labels == index, predicted == index
        found[name] = ClassFigures(
            images=int(of_class.sum()),
            precision=share(of_class[called], groups=groups[called]),
            recall=share(called[of_class], groups=groups[of_class]),
            f1=samples.figure(f1(of_class, called)),
            auroc=samples.figure(auroc(of_class, probabilities[:, index])),
            average_precision=samples.figure(average_precision(of_class, probabilities[:, index])),
        )
    return found


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, *, class_count: int) -> tuple[tuple[int, ...], ...]:
    """Counts, rows by true class and columns by predicted class (scikit-learn's convention)."""
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(class_count))
    return tuple(tuple(int(count) for count in row) for row in matrix)


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Share of images whose most probable class is the true one."""
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return lambda weights: weighted_mean(right, weights)


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Mean recall over the classes present."""
    predicted = probabilities.argmax(axis=1)
    parts = [recall(labels, predicted, index) for index in np.unique(labels)]
    return lambda weights: _mean_of_defined([part(weights) for part in parts])


def mean_recall(labels: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> Statistic:
    """Mean recall over some classes, int (K,); NaN where one of them has no image."""
    parts = [recall(labels, predicted, index) for index in classes]
    return lambda weights: np.asarray(np.mean([part(weights) for part in parts], axis=0))


def recall(labels: np.ndarray, predicted: np.ndarray, index: int) -> Statistic:
    """Recall of a class; NaN where it has no image. `labels` and `predicted` are int (N,)."""
    of_class = (labels == index).astype(np.float64)
    found = of_class * (predicted == index)
    return lambda weights: ratio(weights @ found, weights @ of_class)


def macro_f1(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Mean F1 score over the classes present."""
    predicted = probabilities.argmax(axis=1)
    parts = [f1(labels == index, predicted == index) for index in np.unique(labels)]
    return lambda weights: _mean_of_defined([part(weights) for part in parts])


def macro_auroc(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Mean area under the ROC curve of each class present against the rest."""
    parts = [auroc(labels == index, probabilities[:, index]) for index in np.unique(labels)]
    return lambda weights: _mean_of_defined([part(weights) for part in parts])


def macro_average_precision(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Mean average precision of each class present against the rest."""
    parts = [average_precision(labels == index, probabilities[:, index]) for index in np.unique(labels)]
    return lambda weights: _mean_of_defined([part(weights) for part in parts])


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Gap between confidence and accuracy in bins of equal width (Guo et al., ICML 2017, equation 3)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.eye(CALIBRATION_BINS)[bins] * (confidence - right)[:, np.newaxis]
    return lambda weights: ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def brier(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Squared error of the probabilities, summed over classes: 0..2."""
    squared = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return lambda weights: weighted_mean(squared, weights)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Negative log probability of the true class, nats."""
    smallest = np.finfo(np.float64).eps  # scikit-learn's floor: a probability of 0 would give infinity
    surprise = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], smallest, 1.0))
    return lambda weights: weighted_mean(surprise, weights)


HEADLINES: Mapping[str, Callable[[np.ndarray, np.ndarray], Statistic]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "macro_auroc": macro_auroc,
    "macro_average_precision": macro_average_precision,
    "expected_calibration_error": expected_calibration_error,
    "brier": brier,
    "log_loss": log_loss,
}
"""The headline figures, by their names in `Headlines`."""


def f1(of_class: np.ndarray, called: np.ndarray) -> Statistic:
    """F1 of a class; NaN where it has no image, so that a mean is over the classes present.

    Args:
        of_class: bool (N,), whether an image is of the class.
        called: bool (N,), whether it is taken for it.
    """
    found = (of_class & called).astype(np.float64)

    def compute(weights: np.ndarray) -> np.ndarray:
        images, answers = weights @ of_class, weights @ called
        return np.where(images > 0, ratio(2.0 * (weights @ found), images + answers), np.nan)

    return compute


def auroc(positive: np.ndarray, score: np.ndarray) -> Statistic:
    """Area under the ROC curve; NaN where one kind is absent.

    It is the chance that a positive image scores above a negative one, ties counted half (Hanley & McNeil,
    Radiology 143, 1982).

    Args:
        positive: bool (N,).
        score: float (N,).
    """
    ranked = _ranking(positive, score)

    def compute(weights: np.ndarray) -> np.ndarray:
        positives, negatives = ranked(weights)
        below = negatives.cumsum(axis=1) - 0.5 * negatives
        return ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))

    return compute


def average_precision(positive: np.ndarray, score: np.ndarray) -> Statistic:
    """Average precision; NaN where no image is positive. Arguments are those of `auroc`."""
    ranked = _ranking(positive, score)

    def compute(weights: np.ndarray) -> np.ndarray:
        positives, negatives = (part[:, ::-1] for part in ranked(weights))
        found = positives.cumsum(axis=1)
        precision = np.nan_to_num(ratio(found, found + negatives.cumsum(axis=1)))
        return ratio((positives * precision).sum(axis=1), positives.sum(axis=1))

    return compute


def _ranking(positive: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Gives, of weights, the weight of positive and of negative images at each distinct score, ascending."""
    order = np.argsort(score, kind="stable")
    ranked, kind = score[order], positive[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))

    def compute(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        drawn = weights[:, order]
        return np.add.reduceat(drawn * kind, starts, axis=1), np.add.reduceat(drawn * ~kind, starts, axis=1)

    return compute


def _mean_of_defined(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over columns that are defined; NaN where none is."""
    table = np.stack(columns)
    return ratio(np.nansum(table, axis=0), np.isfinite(table).sum(axis=0))
