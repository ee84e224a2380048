"""Turns logits into probabilities that mean what they say, a flag for a reader, and prediction sets.

All of it is fitted on the validation split, once, and kept in the run's `calibration.json`:

- one temperature for all logits (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017);
- the threshold on the abnormal score, see `cxr_keras3.run.abnormality`, that reaches a stated sensitivity;
- for each coverage a threshold a class (class-conditional split conformal prediction: Vovk, "Conditional
  validity of inductive conformal predictors", Machine Learning 92, 2013).

The last two hold for new images like those fitted on, on average, whatever the model; they promise
nothing for images of another hospital.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import log_softmax, softmax

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError

SCHEMA_VERSION = 2
"""2: the abnormal score is that of `cxr_keras3.run.abnormality`; before, it was 1 less the probability of Normal."""
NORMAL = "Normal"
SENSITIVITY = 0.90
COVERAGES = ("0.90", "0.95")
TEMPERATURES = (0.05, 20.0)  # a model that is right on every image would have no finite best temperature


@dataclass(frozen=True)
class Calibration:
    """What `calibration.json` says.

    Attributes:
        schema_version: The file's own version, `SCHEMA_VERSION`.
        temperature: What logits are divided by; above 1 where the model was too sure of itself.
        sensitivity: Share of abnormal images that `abnormal_threshold` was chosen to flag, 0..1.
        abnormal_threshold: Images with at least this abnormal score are flagged, 0..1.
        conformal_thresholds: Coverage, as text such as "0.90", to a threshold for each class: class c is in the
            prediction set where 1 - p_c is at most its threshold.
        class_names: In the order of the logits.
        split: The split it was fitted on.
        images: Number of images it was fitted on.
    """

    schema_version: int
    temperature: float
    sensitivity: float
    abnormal_threshold: float
    conformal_thresholds: Mapping[str, tuple[float, ...]]
    class_names: tuple[str, ...]
    split: str
    images: int

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 (N, classes), of logits of the same shape."""
        return probabilities(logits, temperature=self.temperature)

    def flag(self, scores: np.ndarray) -> np.ndarray:
        """Whether a reader should look first, bool (N,), of abnormal scores (N,)."""
        return np.asarray(scores >= self.abnormal_threshold)

    def prediction_sets(self, probabilities: np.ndarray, coverage: str = "0.90") -> np.ndarray:
        """The classes that cannot be ruled out.

        Args:
            probabilities: Calibrated, float (N, classes).
            coverage: A key of `conformal_thresholds`: the share of each class's images whose set holds it.

        Returns:
            bool (N, classes). A row may be all false: the image is unlike those of any class.
        """
        return np.asarray(1.0 - probabilities <= np.array(self.conformal_thresholds[coverage]))


def probabilities(logits: np.ndarray, *, temperature: float) -> np.ndarray:
    """Probabilities, float64 (N, classes), of logits of the same shape, divided by a temperature."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1))


def fit(
    logits: np.ndarray,
    abnormal_scores: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: tuple[str, ...],
    sensitivity: float = SENSITIVITY,
    temperature: float | None = None,
    split: str = "validation",
) -> Calibration:
    """Fits all of it on the validation split.

    Where there are too few images for what is asked (19 of a class are needed for 0.95), the threshold
    takes in everything, so that what is promised still holds.

    Args:
        logits: float (N, classes).
        abnormal_scores: float (N,), 0..1, of images that what gives them was not fitted on.
        labels: int (N,), indices into `class_names`.
        class_names: In the order of the logits; "Normal" is one of them.
        sensitivity: Share of abnormal images to flag, above 0 and below 1.
        temperature: Kept where given, else fitted too.
        split: What it is fitted on, in a word.

    >>> logits = np.array([[3.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
    >>> scores = np.array([0.9, 0.8, 0.3, 0.1])
    >>> fitted = fit(logits, scores, np.array([0, 0, 1, 1]), class_names=("COVID", "Normal"))
    >>> fitted.flag(np.array([0.7, 0.1])).tolist()  # of two abnormal images no threshold promises 95 %: all are flagged
    [True, True]
    """
    labels = np.asarray(labels)
    if not 0.0 < sensitivity < 1.0:
        raise UserError(f"the sensitivity must lie between 0 and 1, received {sensitivity}; 0.9 is the default")
    normal = class_names.index(NORMAL)
    if len(np.unique(labels == normal)) < 2:
        raise UserError("calibration needs images of Normal and of another class; the validation split holds one kind")
    if temperature is None:
        temperature = _temperature(np.asarray(logits, dtype=np.float64), labels)
    chances = probabilities(logits, temperature=temperature)
    doubts = [1.0 - chances[labels == index, index] for index in range(len(class_names))]
    return Calibration(
        schema_version=SCHEMA_VERSION,
        temperature=temperature,
        sensitivity=sensitivity,
        abnormal_threshold=_abnormal_threshold(abnormal_scores, labels != normal, sensitivity),
        conformal_thresholds={
            coverage: tuple(_conformal_quantile(values, float(coverage), beyond=1.0) for values in doubts)
            for coverage in COVERAGES
        },
        class_names=tuple(class_names),
        split=split,
        images=len(labels),
    )


def adjusted(
    found: Calibration | None,
    logits: np.ndarray,
    abnormal_scores: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: tuple[str, ...],
    sensitivity: float | None = None,
    other_scores: bool = False,
) -> Calibration:
    """A run's calibration: fitted where it is missing, for another sensitivity or other scores, else the same object.

    The temperature is fitted once: exports hold it, and it has nothing to do with the sensitivity.

    Args:
        found: What the run has.
        logits: Of the validation split, float (N, classes).
        abnormal_scores: Of the validation split, see `fit`.
        labels: Of the validation split, int (N,).
        class_names: In the order of the logits.
        sensitivity: Share of abnormal images to flag; None for what the run has, or 0.9.
        other_scores: Whether the layer that gives the scores has been fitted anew.
    """
    if found and not other_scores and sensitivity in (None, found.sensitivity):
        return found
    aimed_at = found.sensitivity if found else SENSITIVITY
    return fit(
        logits,
        abnormal_scores,
        labels,
        class_names=class_names,
        sensitivity=aimed_at if sensitivity is None else sensitivity,
        temperature=found.temperature if found else None,
    )


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least log loss, which is convex in its inverse."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 -- takes half a second that a reader of the file saves

    def log_loss(log_temperature: float) -> float:
        chances = log_softmax(logits / math.exp(log_temperature), axis=1)
        return float(-np.mean(chances[np.arange(len(labels)), labels]))

    low, high = (math.log(bound) for bound in TEMPERATURES)
    return math.exp(minimize_scalar(log_loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)


def _abnormal_threshold(scores: np.ndarray, abnormal: np.ndarray, sensitivity: float) -> float:
    """Half-way from the least score to be flagged to the next below, so that rounding moves no image across it."""
    least = 0.0 - _conformal_quantile(-scores[abnormal], sensitivity, beyond=0.0)
    return float(least + max(scores[scores < least], default=0.0)) / 2


def _conformal_quantile(values: np.ndarray, share: float, *, beyond: float) -> float:
    """The least of the values that a new one stays at or below with probability `share`; `beyond` if none is."""
    rank = math.ceil(share * (len(values) + 1) - 1e-9)  # 0.95 x 20 is 19, not a rounding error more
    return float(np.sort(values)[rank - 1]) if rank <= len(values) else beyond


def read(path: Path) -> Calibration:
    """Reads and checks a run's calibration.

    Raises:
        UserError: Where the file is missing, damaged, or of another version.
    """
    remedy = "delete it and run python -m cxr_keras3.evaluate on the run folder"
    calibration = records.read(path, Calibration, version=SCHEMA_VERSION, remedy=remedy)
    try:
        check(calibration)
    except ValueError as error:
        raise UserError(f"{path} is not a calibration ({error}); {remedy}") from error
    return calibration


def check(calibration: Calibration) -> None:
    """Refuses figures that cannot be, and thresholds of other classes.

    Raises:
        ValueError: Where there are such.
    """
    shares = (calibration.sensitivity, calibration.abnormal_threshold)
    columns = calibration.conformal_thresholds.values()
    low, high = TEMPERATURES
    if not 0.99 * low <= calibration.temperature <= 1.01 * high:  # beyond them by rounding alone
        raise ValueError(f"the temperature must lie in {low}..{high}, received {calibration.temperature}")
    if NORMAL not in calibration.class_names:
        raise ValueError(f"class_names must hold {NORMAL}, received {calibration.class_names}")
    if not all(0.0 <= share <= 1.0 for column in (shares, *columns) for share in column):
        raise ValueError("sensitivity and thresholds must lie in 0..1")
    if set(calibration.conformal_thresholds) != set(COVERAGES):
        raise ValueError(f"conformal_thresholds must have the coverages {', '.join(COVERAGES)}")
    if any(len(column) != len(calibration.class_names) for column in columns):
        raise ValueError("conformal_thresholds must hold one number a class")
