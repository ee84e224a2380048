"""What the shortcut audit found by view, sex and age: the part `subgroups` of the audit in `metrics.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.run.source_tests import Probe
from cxr_keras3.statistics.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """Figures on the images of one view, sex or age.

    Attributes:
        images: Their number.
        classes: Class to number of images, where there are any.
        accuracy: The figure.
        balanced_accuracy: Mean recall of the classes with ten images; undefined with fewer than two of them.
        recall: Class to recall, of those classes.
    """

    images: int
    classes: Mapping[str, int]
    accuracy: Figure
    balanced_accuracy: Figure
    recall: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Gap(Figure):
    """The largest difference of a class's recall between two values of an attribute.

    Attributes:
        attribute: "view", "sex" or "age".
        class_name: The class.
        best: The value with the highest recall.
        worst: That with the lowest.
    """

    attribute: str
    class_name: str
    best: str
    worst: str


@dataclass(frozen=True, kw_only=True)
class ViewTests:
    """Do answers depend on a film's view, AP or PA? See ADR 33.

    Attributes:
        gap: Recall on films of the view that is usual for their class less that on the others, mean of the classes.
        shift: "AP" and "PA", for the classes that are mostly of that view: how far the log-odds of the mostly-AP
            classes rise from PA films to AP films of one class. Nothing where the gap is undefined.
    """

    gap: Figure
    shift: Mapping[str, Figure]

    @property
    def is_used(self) -> bool:
        """Whether both shifts are shown to be upward, which severity of disease or quality of films cannot do."""
        return bool(self.shift) and all(figure.defined.low > 0 for figure in self.shift.values())


@dataclass(frozen=True, kw_only=True)
class SubgroupTests:
    """What depends on view, sex and age.

    Attributes:
        by_attribute: "view", "sex" and "age" to value to figures; nothing where nothing is known.
        gaps: Equal-opportunity gaps.
        view: Whether answers depend on it.
        view_probe: Class to the probe of the view; none for the validation split, on which probes are fitted.
    """

    by_attribute: Mapping[str, Mapping[str, Subgroup]]
    gaps: tuple[Gap, ...]
    view: ViewTests
    view_probe: Mapping[str, Probe]
