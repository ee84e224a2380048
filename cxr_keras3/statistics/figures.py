"""Figures with intervals, and the groups of them that evaluations state."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number and its 95 % interval.

    Attributes:
        value: On the images as they are; None where undefined, as all three are then.
        low: Lower end.
        high: Upper end.
    """

    value: float | None
    low: float | None
    high: float | None

    def text(self, digits: int = 3, *, scale: float = 1.0) -> str:
        """In words, for example "0.892 (0.868 to 0.915)"; "undefined" where it is.

        Args:
            digits: After the decimal point.
            scale: What each number is multiplied by: 100 for per cent.
        """
        if self.value is None or self.low is None or self.high is None:
            return "undefined"
        value, low, high = (f"{scale * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"

    def percent(self, digits: int = 0) -> str:
        """A share in per cent, for example "89 % (87 to 92)"."""
        value, blank, interval = self.text(digits, scale=100.0).partition(" ")
        return f"{value} %{blank}{interval}" if interval else value

    @property
    def defined(self) -> "Bounds":
        """The three numbers of a figure that is defined.

        Raises:
            ValueError: Where it is not.
        """
        if self.value is None or self.low is None or self.high is None:
            raise ValueError("the figure is undefined")
        return Bounds(self.value, self.low, self.high)


@dataclass(frozen=True)
class Bounds:
    """A figure's three numbers, for arithmetic."""

    value: float
    low: float
    high: float


UNDEFINED = Figure(value=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True)
class Headlines:
    """The headline figures of labelled images. Averages are over the classes present.

    Attributes:
        accuracy: Share of images whose most probable class is the true one.
        balanced_accuracy: Mean recall.
        macro_f1: Mean F1 score.
        macro_auroc: Mean area under the ROC curve, each class against the rest.
        macro_average_precision: Mean average precision, likewise.
        expected_calibration_error: Mean gap between confidence and accuracy, in 15 bins.
        brier: Squared error summed over classes, 0..2.
        log_loss: Negative log probability of the true class, nats.
    """

    accuracy: Figure
    balanced_accuracy: Figure
    macro_f1: Figure
    macro_auroc: Figure
    macro_average_precision: Figure
    expected_calibration_error: Figure
    brier: Figure
    log_loss: Figure

    def headlines(self) -> dict[str, Figure]:
        """The headline figures by name."""
        return {field.name: getattr(self, field.name) for field in fields(Headlines)}


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """Figures of one class against the rest.

    Attributes:
        images: Number of images of the class.
        precision: Share of the class among the images that are taken for it.
        recall: Share of its images that are taken for it.
        f1: Harmonic mean of the two.
        auroc: Area under the ROC curve of its probability.
        average_precision: Area under the precision-recall curve, as a sum over thresholds.
    """

    images: int
    precision: Figure
    recall: Figure
    f1: Figure
    auroc: Figure
    average_precision: Figure
