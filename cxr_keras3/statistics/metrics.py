"""Classification metrics with intervals from a bootstrap over groups.

The metrics are scikit-learn's, equal to it to 1e-12 with its `sample_weight` (a test holds them to it).
They are written for many weightings at once: a bootstrap sample is a weighting of the images by how often
each was drawn, so a thousand samples of the published test split take seconds rather than an hour.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

Figure = dict[str, float | None]
"""`value`, and `low` and `high` of its 95 % interval; None where undefined."""

Statistic = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Takes weights float64 (R, N), one row a bootstrap sample; gives named figures, each (R,), NaN where undefined."""

HEADLINES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "macro_average_precision",
    "expected_calibration_error",
    "brier",
    "log_loss",
)
"""Headline figures: averages over the classes present; Brier score summed over classes (0..2), log loss in nats."""

CALIBRATION_BINS = 15
RESAMPLES = 1000
LEVEL = 0.95
_BLOCK = 50  # bootstrap samples at a time: 8 MB of weights for 21,165 images


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) that sum to one in float64, from logits of the same shape."""
    return np.asarray(special.softmax(np.asarray(logits, dtype=np.float64), axis=1))


def bootstrap(
    statistic: Statistic, *, groups: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """Figures and their percentile intervals from a bootstrap over groups.

    Groups (patients, near-duplicates) are drawn with replacement, each with all its images: drawing
    images would pretend that two films of one patient are independent (Efron & Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapter 8).

    Args:
        statistic: What to compute.
        groups: (N,), equal for images of one group.
        resamples: Number of bootstrap samples.
        seed: Decides the samples.

    Returns:
        Of each figure its `value` on the images as they are, and the interval's `low` and `high`.
    """
    values = statistic(np.ones((1, len(groups))))
    blocks = [statistic(weights) for weights in _weights(groups, resamples, seed)]
    return {
        name: _figure(float(value[0]), np.concatenate([block[name] for block in blocks]))
        for name, value in values.items()
    }


def _weights(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image was drawn, in blocks (R, N)."""
    generator = np.random.default_rng(seed)
    names, group_of_image = np.unique(groups, return_inverse=True)
    for start in range(0, resamples, _BLOCK):
        drawn = generator.integers(len(names), size=(min(_BLOCK, resamples - start), len(names)))
        counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
        yield counts[:, group_of_image].astype(np.float64)


def _figure(value: float, resampled: np.ndarray) -> Figure:
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanquantile(resampled, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return {"value": value, "low": float(low), "high": float(high)}


def share(hits: np.ndarray, *, groups: np.ndarray) -> Figure:
    """The share of images that are hits, bool (N,), with its interval.

    Where all or none are, every bootstrap sample agrees and the interval is that of Clopper and Pearson
    (Biometrika 26, 1934) over groups: 40 right of 40 may still be 91 %.
    """
    if len(hits) and (hits.all() or not hits.any()):
        count = len(np.unique(groups))
        exact = binomtest(count if hits.all() else 0, count).proportion_ci(LEVEL, method="exact")
        return {"value": float(hits[0]), "low": float(exact.low), "high": float(exact.high)}
    return mean(hits.astype(np.float64), groups=groups)


def mean(values: np.ndarray, *, groups: np.ndarray) -> Figure:
    """The mean of values float (N,), with its interval; None where N is 0."""
    if len(values) == 0:
        return {"value": None, "low": None, "high": None}
    return bootstrap(lambda weights: {"mean": weighted_mean(values, weights)}, groups=groups)["mean"]


def headline_figures(labels: np.ndarray, probabilities: np.ndarray, *, groups: np.ndarray) -> dict[str, Figure]:
    """Every figure of `HEADLINES`.

    Args:
        labels: int (N,).
        probabilities: float (N, classes), rows that sum to one.
        groups: (N,), equal for images of one group.
    """
    figures = bootstrap(headlines(labels, probabilities), groups=groups)
    return figures | {"accuracy": share(probabilities.argmax(axis=1) == labels, groups=groups)}


def headlines(labels: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """The statistic behind `headline_figures`."""
    present = np.unique(labels)
    predicted = probabilities.argmax(axis=1)
    class_count = probabilities.shape[1]
    right = (predicted == labels).astype(np.float64)
    squared = ((probabilities - np.eye(class_count)[labels]) ** 2).sum(axis=1)
    smallest = np.finfo(np.float64).eps  # scikit-learn's floor: a probability of 0 would give infinity
    surprise = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], smallest, 1.0))

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        matrix = confusion(labels, predicted, class_count, weights)
        one_against_rest = [(labels == index, probabilities[:, index], weights) for index in present]
        return {
            "accuracy": weighted_mean(right, weights),
            "balanced_accuracy": _nanmean([recall(matrix[:, index], index) for index in present]),
            "macro_f1": _nanmean([_f1(matrix, index) for index in present]),
            "macro_auroc": _nanmean([auroc(*arguments) for arguments in one_against_rest]),
            "macro_average_precision": _nanmean([average_precision(*arguments) for arguments in one_against_rest]),
            "expected_calibration_error": _calibration_error(probabilities.max(axis=1), right, weights),
            "brier": weighted_mean(squared, weights),
            "log_loss": weighted_mean(surprise, weights),
        }

    return compute


def by_class(
    labels: np.ndarray, probabilities: np.ndarray, *, class_names: Sequence[str], groups: np.ndarray
) -> dict[str, Any]:
    """Number of images of each class, and its precision, recall, F1, AUROC and average precision with intervals."""
    predicted = probabilities.argmax(axis=1)

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        matrix = confusion(labels, predicted, len(class_names), weights)
        figures = {}
        for index, name in enumerate(class_names):
            positive, score = labels == index, probabilities[:, index]
            figures[f"f1/{name}"] = _f1(matrix, index)
            figures[f"auroc/{name}"] = auroc(positive, score, weights)
            figures[f"average_precision/{name}"] = average_precision(positive, score, weights)
        return figures

    figures = bootstrap(compute, groups=groups)
    rows = {}
    for index, name in enumerate(class_names):
        images, called = labels == index, predicted == index
        rows[name] = {
            "images": int(images.sum()),
            "precision": share(images[called], groups=groups[called]),
            "recall": share(called[images], groups=groups[images]),
            **{kind: figures[f"{kind}/{name}"] for kind in ("f1", "auroc", "average_precision")},
        }
    return rows


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, *, class_count: int) -> list[list[int]]:
    """Counts, rows by true class and columns by predicted class (scikit-learn's convention)."""
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(class_count))
    return [[int(count) for count in row] for row in matrix]


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of values (N,) under each weighting: (R,)."""
    return _ratio(weights @ values, weights.sum(axis=1))


def confusion(labels: np.ndarray, predicted: np.ndarray, class_count: int, weights: np.ndarray) -> np.ndarray:
    """The confusion matrix under each weighting: (R, classes, classes), rows by true class."""
    cells = np.zeros((len(labels), class_count * class_count))
    cells[np.arange(len(labels)), labels * class_count + predicted] = 1.0
    return np.asarray((weights @ cells).reshape(-1, class_count, class_count))


def recall(row: np.ndarray, index: int) -> np.ndarray:
    """Recall of a class from its row of the confusion matrices (R, classes): (R,), NaN where it has no image."""
    return _ratio(row[:, index], row.sum(axis=1))


def auroc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve under each weighting: (R,), NaN where one kind is absent.

    It is the chance that a positive image scores above a negative one, ties counted half (Hanley & McNeil,
    Radiology 143, 1982).
    """
    positives, negatives = _by_score(positive, score, weights)
    below = negatives.cumsum(axis=1) - 0.5 * negatives
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision under each weighting: (R,), NaN where no image is positive."""
    positives, negatives = (part[:, ::-1] for part in _by_score(positive, score, weights))
    found = positives.cumsum(axis=1)
    precision = np.nan_to_num(_ratio(found, found + negatives.cumsum(axis=1)))
    return _ratio((positives * precision).sum(axis=1), positives.sum(axis=1))


def _by_score(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positive and of negative images at each distinct score, ascending: two of (R, scores)."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    drawn, kind = weights[:, order], positive[order]
    return np.add.reduceat(drawn * kind, starts, axis=1), np.add.reduceat(drawn * ~kind, starts, axis=1)


def _calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gap between confidence and accuracy in bins of equal width (Guo et al., ICML 2017, equation 3)."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = weights @ (np.eye(CALIBRATION_BINS)[bins] * (confidence - right)[:, np.newaxis])
    return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def _f1(matrix: np.ndarray, index: int) -> np.ndarray:
    """F1 of a class; NaN where it has no image, so that a mean is over the classes present."""
    images, called = matrix[:, index].sum(axis=1), matrix[:, :, index].sum(axis=1)
    return np.where(images > 0, _ratio(2.0 * matrix[:, index, index], images + called), np.nan)


def _nanmean(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over columns that are defined; NaN where none is."""
    table = np.stack(columns)
    return _ratio(np.nansum(table, axis=0), np.isfinite(table).sum(axis=0))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is 0."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0))
