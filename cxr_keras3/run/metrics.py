"""What an evaluation found: the records that `metrics.json` holds, see docs/metrics-schema.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.run.audit import Audit, Floor
from cxr_keras3.run.calibration import Calibration
from cxr_keras3.statistics.figures import ClassFigures, Figure, Headlines

SCHEMA_VERSION = 7


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Accuracy against confidence, in those of 15 equal bins that hold images.

    Attributes:
        confidence: Mean of each bin, 0..1.
        accuracy: Of each bin, 0..1.
        images: In each bin.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    images: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuses columns of different lengths, and bins without images."""
        if not len(self.confidence) == len(self.accuracy) == len(self.images) or min(self.images, default=0) < 1:
            raise ValueError("each bin must have a confidence, an accuracy and at least one image")


@dataclass(frozen=True, kw_only=True)
class CalibrationErrors:
    """What a temperature changes.

    Attributes:
        expected_calibration_error: As in `Headlines`, and so are the next two.
        brier: See there.
        log_loss: See there.
        reliability: The curve.
    """

    expected_calibration_error: Figure
    brier: Figure
    log_loss: Figure
    reliability: Reliability

    def figures(self) -> dict[str, Figure]:
        """The three figures by name."""
        return {name: getattr(self, name) for name in ("expected_calibration_error", "brier", "log_loss")}


@dataclass(frozen=True, kw_only=True)
class MeasuredCalibration(Calibration):
    """The run's calibration, and what it did on these images.

    Attributes:
        before: Without the temperature.
        after: With it.
    """

    before: CalibrationErrors
    after: CalibrationErrors


@dataclass(frozen=True, kw_only=True)
class AtPrevalence:
    """What the flag means where a stated share of the studies is abnormal.

    Attributes:
        positive_predictive_value: Share of abnormal studies among those flagged.
        negative_predictive_value: Share of normal studies among those not flagged.
        normal_spared_per_thousand: Normal studies not flagged, of a thousand studies.
        abnormal_missed_per_thousand: Abnormal studies not flagged, of a thousand studies.
    """

    positive_predictive_value: Figure
    negative_predictive_value: Figure
    normal_spared_per_thousand: Figure
    abnormal_missed_per_thousand: Figure


@dataclass(frozen=True, kw_only=True)
class FlagFigures:
    """How well the flag tells abnormal from normal images.

    Attributes:
        auroc: Of the abnormal score.
        sensitivity: Share of abnormal images flagged.
        specificity: Share of normal images not flagged.
    """

    auroc: Figure
    sensitivity: Figure
    specificity: Figure


@dataclass(frozen=True, kw_only=True)
class Triage(FlagFigures):
    """What the flag would mean at a reader's desk.

    Attributes:
        sensitivity_aimed_at: Share of abnormal images that the threshold was chosen to flag, 0..1.
        threshold: Least abnormal score that is flagged, 0..1.
        by_prevalence: Share of abnormal studies, as text such as "0.05", to what follows from it.
    """

    sensitivity_aimed_at: float
    threshold: float
    by_prevalence: Mapping[str, AtPrevalence]


@dataclass(frozen=True, kw_only=True)
class PredictionSets:
    """Conformal prediction sets at one coverage.

    Attributes:
        all: Share of images whose set holds the true class.
        by_class: The same, of each class.
        mean_size: Mean number of classes in a set.
        sizes: Number of classes, as text, to images with so many.
        accuracy_of_single_answers: Share of right ones among sets of one class.
    """

    all: Figure
    by_class: Mapping[str, Figure]
    mean_size: Figure
    sizes: Mapping[str, int]
    accuracy_of_single_answers: Figure


@dataclass(frozen=True, kw_only=True)
class AnswerFigures:
    """What a reader is told, see `cxr_keras3.run.answers`; the headline figures are of the most probable class.

    Attributes:
        accuracy: Share of images whose answered class is theirs.
        withheld: Share of the images not answered Normal whose class is not named to a reader.
        accuracy_where_named: Share of right ones where it is.
    """

    accuracy: Figure
    withheld: Figure
    accuracy_where_named: Figure


@dataclass(frozen=True, kw_only=True)
class Measures(Headlines):
    """What can be said of any labelled images.

    Attributes:
        images: Their number.
        by_class: Class to its figures.
        confusion_matrix: Counts, rows by true class.
        calibration: The run's calibration, and what it did.
        triage: The flag.
        answers: What a reader is told.
        prediction_sets: Coverage aimed at, as text such as "0.90", to the sets.
        accuracy_by_share_answered: Share answered, the surest first, as text, to the accuracy there.
    """

    images: int
    by_class: Mapping[str, ClassFigures]
    confusion_matrix: tuple[tuple[int, ...], ...]
    calibration: MeasuredCalibration
    triage: Triage
    answers: AnswerFigures
    prediction_sets: Mapping[str, PredictionSets]
    accuracy_by_share_answered: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An image, what it is, and what the model says."""

    image_id: str
    label: str
    predicted: str


@dataclass(frozen=True, kw_only=True)
class ConfidentMistake(Answered):
    """A wrong answer, and its probability."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class LikelyLabelError:
    """An image whose label a linear model thinks least likely.

    Attributes:
        image_id: The image.
        label: Its label.
        guess: What that model says.
        self_confidence: The probability it gives to the label.
    """

    image_id: str
    label: str
    guess: str
    self_confidence: float


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Images worth a second look."""

    most_confident: tuple[ConfidentMistake, ...]
    copies_answered_differently: tuple[tuple[Answered, ...], ...]
    likely_label_errors: tuple[LikelyLabelError, ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds that the evaluation took.

    Attributes:
        total_seconds: All of it.
        model_seconds: In the model.
        scoring_seconds: One pass over the split.
        share_outside_the_model: Of all, 0..1.
    """

    total_seconds: float
    model_seconds: float
    scoring_seconds: float
    share_outside_the_model: float


@dataclass(frozen=True, kw_only=True)
class Metrics(Measures):
    """A run on a split of its dataset: `metrics.json`.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        run: The run's name.
        split: Of the dataset.
        dataset_version: Of the dataset that was measured on.
        left_out: Images of the split left out: the run, trained on an earlier version, has seen their group.
        groups: Number of groups: patients and near-duplicates.
        synthetic: Whether the images are drawn.
        created: ISO 8601 in UTC.
        floors: Floor to its accuracy.
        audit: The shortcut audit.
        errors: Images worth a second look.
        timing: How long it took.
    """

    schema_version: int
    run: str
    split: str
    dataset_version: str
    left_out: int
    groups: int
    synthetic: bool
    created: str
    floors: Mapping[str, Floor]
    audit: Audit
    errors: Errors
    timing: Timing
