"""What the shortcut audit found within and across sources: the part `sources` of the audit in `metrics.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.statistics.figures import Figure


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
