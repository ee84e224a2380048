"""What an evaluation found: the records that `metrics.json` and `comparison.json` hold, see docs/metrics-schema.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cxr_keras3.run.calibration import Calibration
from cxr_keras3.statistics.figures import UNDEFINED, ClassFigures, Figure, Headlines

SCHEMA_VERSION = 4
COMPARISON_SCHEMA_VERSION = 1

Verdict = Literal["PASS", "WARN", "FAIL"]
Level = Literal["WARN", "FAIL"]


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
class Measures(Headlines):
    """What can be said of any labelled images.

    Attributes:
        images: Their number.
        by_class: Class to its figures.
        confusion_matrix: Counts, rows by true class.
        calibration: The run's calibration, and what it did.
        triage: The flag.
        prediction_sets: Coverage aimed at, as text such as "0.90", to the sets.
        accuracy_by_share_answered: Share answered, the surest first, as text, to the accuracy there.
    """

    images: int
    by_class: Mapping[str, ClassFigures]
    confusion_matrix: tuple[tuple[int, ...], ...]
    calibration: MeasuredCalibration
    triage: Triage
    prediction_sets: Mapping[str, PredictionSets]
    accuracy_by_share_answered: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Floor(Figure):
    """Accuracy of a predictor that sees no lung, or none closely.

    Attributes:
        balanced_accuracy: Its balanced accuracy.
    """

    balanced_accuracy: Figure


@dataclass(frozen=True, kw_only=True)
class Margin(Figure):
    """The model's accuracy less that of the best floor.

    Attributes:
        floor: Which one.
    """

    floor: str


@dataclass(frozen=True, kw_only=True)
class RegionTests:
    """Balanced accuracy with parts of the image taken away, on images with lung masks.

    Attributes:
        images: Number of images used; 0 where fewer than two classes have masks enough, and no figure then.
        without_mask: Number of images left out.
        classes: Numbers of the classes that count.
        chance: Balanced accuracy of a constant answer.
        balanced_accuracy: Change ("unchanged", "lungs_only", …) to the figure.
        drop: Change to what it costs.
        background_share: Share of what the model has above chance that is left without the lungs.
    """

    images: int
    without_mask: int
    classes: tuple[int, ...]
    chance: float | None = None
    balanced_accuracy: Mapping[str, Figure] = field(default_factory=dict)
    drop: Mapping[str, Figure] = field(default_factory=dict)
    background_share: Figure = UNDEFINED


@dataclass(frozen=True, kw_only=True)
class Activation:
    """Where the class activation lies.

    Attributes:
        images: Number of images with lung masks.
        map_cells: Height and width of a map.
        share: Share of the positive activation of the predicted class that lies in the lungs.
        area: Share of the picture that the lungs are.
        excess: The former less the latter.
    """

    images: int
    map_cells: tuple[int, int]
    share: Figure
    area: Figure
    excess: Figure


@dataclass(frozen=True, kw_only=True)
class SubsetAccuracy:
    """Accuracy on a part of the images.

    Attributes:
        images: Their number.
        classes: Class to number of images, where there are any.
        accuracy: The figure.
    """

    images: int
    classes: Mapping[str, int]
    accuracy: Figure


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two classes told apart within one source.

    Attributes:
        source: The source.
        classes: The two.
        images: Number of images.
        auroc: Of the second against the first.
        balanced_accuracy: The figure.
    """

    source: str
    classes: tuple[str, str]
    images: int
    auroc: Figure
    balanced_accuracy: Figure


@dataclass(frozen=True, kw_only=True)
class Probe(Figure):
    """Balanced accuracy of a linear probe that reads the source from the features, within one class.

    Attributes:
        sources: Those told apart.
        images: Number of images.
        chance: What guessing gets.
    """

    sources: tuple[str, ...]
    images: int
    chance: float


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Recall of a class on a source that a new linear layer has not seen, and if it has.

    Attributes:
        class_name: The class.
        source: The source left out.
        images: Number of images.
        recall_seen: With the source among what it was fitted on.
        recall_unseen: Without.
        drop: The former less the latter.
    """

    class_name: str
    source: str
    images: int
    recall_seen: Figure
    recall_unseen: Figure
    drop: Figure


@dataclass(frozen=True, kw_only=True)
class SourceTests:
    """Does the model see the disease, or the collection that an image comes from?

    Attributes:
        by_source: Source to accuracy.
        by_age_group: "children" and "adults" to accuracy.
        exclusive_classes: Classes that share no source with any other.
        fair_contrasts: Two classes of one source.
        probe: Class to the probe of the source; none for the validation split, on which probes are fitted.
        left_out: Rows of the test of unseen sources; none likewise.
    """

    by_source: Mapping[str, SubsetAccuracy]
    by_age_group: Mapping[str, SubsetAccuracy]
    exclusive_classes: tuple[str, ...]
    fair_contrasts: tuple[Contrast, ...]
    probe: Mapping[str, Probe]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, kw_only=True)
class AuditFigures:
    """What the shortcut audit measured.

    Attributes:
        images: Number of images that the model was asked about.
        margin: The model against the best floor.
        cues: Cue to the share of answers lost where it comes from another class, see ADR 12.
        regions: Parts of the image taken away.
        activation: Where the class activation lies.
        sources: Figures within and across sources.
    """

    images: int
    margin: Margin
    cues: Mapping[str, Figure]
    regions: RegionTests
    activation: Activation
    sources: SourceTests


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a verdict is not PASS.

    Attributes:
        level: How bad it is.
        rule: Which rule of ADR 11.
        text: In words, with the figures.
    """

    level: Level
    rule: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Audit(AuditFigures):
    """The shortcut audit.

    Attributes:
        verdict: By the rules of ADR 11.
        reasons: The worst first.
        shortcut: The cue that right answers depend on most; None where they depend on none.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    shortcut: str | None


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
    groups: int
    synthetic: bool
    created: str
    floors: Mapping[str, Floor]
    audit: Audit
    errors: Errors
    timing: Timing


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Internal(Headlines):
    """The run's figures on its own test split, beside those of images from elsewhere.

    Attributes:
        split: Of the dataset.
        images: Number of images.
        recall: Class to recall.
        triage: The flag.
    """

    split: str
    images: int
    recall: Mapping[str, Figure]
    triage: FlagFigures


@dataclass(frozen=True, kw_only=True)
class ExternalMetrics(Measures):
    """A run on images from elsewhere: `metrics.json` too.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        run: The run's name.
        split: "external".
        groups: Number of groups: files with the same pixels.
        synthetic: Always false.
        created: ISO 8601 in UTC.
        unreadable: Files that could not be read.
        internal: The run on its own test split; None where it was not evaluated.
    """

    schema_version: int
    run: str
    split: str
    groups: int
    synthetic: bool
    created: str
    unreadable: tuple[Unreadable, ...]
    internal: Internal | None


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Images that only one of two models gets right, and the exact test's p value."""

    only_first_right: int
    only_second_right: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same images.

    Attributes:
        images: Number of images.
        first: Figures of one.
        second: Figures of the other.
        difference: Second less first.
        mcnemar: Who is right alone.
    """

    images: int
    first: Headlines
    second: Headlines
    difference: Headlines
    mcnemar: McNemar


@dataclass(frozen=True, kw_only=True)
class Comparison(Paired):
    """Two runs on a split: `comparison.json`.

    Attributes:
        schema_version: `COMPARISON_SCHEMA_VERSION`.
        runs: Their names.
        split: Of the dataset.
    """

    schema_version: int
    runs: tuple[str, str]
    split: str
