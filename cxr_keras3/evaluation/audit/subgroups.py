"""Figures within view, sex and age, how far recall differs between them, and whether the view decides."""

from collections.abc import Iterator, Mapping

import numpy as np

from cxr_keras3.evaluation.audit.sources import LEAST_IMAGES, Part, source_probe
from cxr_keras3.run.source_tests import Probe
from cxr_keras3.run.subgroup_tests import Gap, Subgroup, SubgroupTests
from cxr_keras3.statistics.bootstrap import Bootstrap, ratio, share
from cxr_keras3.statistics.figures import UNDEFINED, Figure
from cxr_keras3.statistics.metrics import mean_recall
from cxr_keras3.training.data import Split
from tfds_cxr.provenance import UNKNOWN

Probed = tuple[Part, np.ndarray]
"""What probes are fitted on, and the view of each image of it, text (N,)."""

AGE_BANDS = {"under 18": (0, 18), "18 to 39": (18, 40), "40 to 59": (40, 60), "60 and over": (60, 200)}
"""Years, the first within, the second not: children, and adults in three parts of about equal size in RSNA's films."""


def subgroup_tests(
    examples: Split,
    predicted: np.ndarray,
    features: np.ndarray,
    *,
    probed: Probed | None,
    class_names: tuple[str, ...],
) -> SubgroupTests:
    """Measures all that depends on view, sex and age.

    Args:
        examples: The split.
        predicted: int (N,).
        features: float (N, channels), of the split.
        probed: The validation split as probes see it, and its views; None leaves the probe out.
        class_names: In the order of the labels.
    """
    attributes = {"view": examples.views, "sex": examples.sexes, "age": age_bands(examples.ages)}
    found = {
        name: subgroups(values, examples.labels, predicted, groups=examples.group_ids, class_names=class_names)
        for name, values in attributes.items()
    }
    gaps = [
        gap
        for name, values in attributes.items()
        for gap in recall_gaps(
            name, values, examples.labels, predicted, groups=examples.group_ids, class_names=class_names
        )
    ]
    probe: Mapping[str, Probe] = {}
    if probed is not None:
        (learnt, labels, _), views = probed
        probe = source_probe(
            (learnt, labels, named(views)),
            (features, examples.labels, named(examples.views)),
            groups=examples.group_ids,
            class_names=class_names,
        )
    return SubgroupTests(
        by_attribute={name: rows for name, rows in found.items() if rows},
        gaps=tuple(gaps),
        view_gap=view_gap(examples.views, examples.labels, predicted, groups=examples.group_ids),
        view_probe=probe,
    )


def age_bands(ages: np.ndarray) -> np.ndarray:
    """The band of each age, a key of `AGE_BANDS`; empty where the age is NaN."""
    found = np.full(len(ages), "", dtype=object)
    for name, (low, high) in AGE_BANDS.items():
        found[(ages >= low) & (ages < high)] = name
    return found.astype(np.str_)


def named(values: np.ndarray) -> np.ndarray:
    """Values with `UNKNOWN` in the place of the empty ones, as probes leave it out."""
    return np.where(values == "", UNKNOWN, values)


def subgroups(
    values: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, groups: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, Subgroup]:
    """Accuracy, balanced accuracy and recall of each class within each value that enough images have."""
    found = {}
    for value in _values(values):
        part = values == value
        if part.sum() < LEAST_IMAGES:
            continue
        counts = np.bincount(labels[part], minlength=len(class_names))
        present = np.flatnonzero(counts >= LEAST_IMAGES)
        right = (predicted == labels)[part]
        found[value] = Subgroup(
            images=int(part.sum()),
            classes={name: int(count) for name, count in zip(class_names, counts, strict=True) if count},
            accuracy=share(right, groups=groups[part]),
            balanced_accuracy=Bootstrap(groups[part]).figure(mean_recall(labels[part], predicted[part], present))
            if len(present) > 1
            else UNDEFINED,
            recall={
                class_names[index]: share(right[labels[part] == index], groups=groups[part][labels[part] == index])
                for index in present
            },
        )
    return found


def recall_gaps(
    attribute: str,
    values: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    *,
    groups: np.ndarray,
    class_names: tuple[str, ...],
) -> Iterator[Gap]:
    """The largest difference of a class's recall between two values of an attribute.

    Equal opportunity asks for none (Hardt, Price and Srebro, NeurIPS 2016). Of many values the largest difference is
    chosen after the fact, so its interval is too narrow, the more so the more values there are.
    """
    right = (predicted == labels).astype(float)
    for index, name in enumerate(class_names):
        of_class = labels == index
        parts = {value: of_class & (values == value) for value in _values(values)}
        parts = {value: part for value, part in parts.items() if part.sum() >= LEAST_IMAGES}
        if len(parts) < 2:
            continue
        best, worst = (pick(parts, key=lambda value: right[parts[value]].mean()) for pick in (max, min))
        if best == worst:  # all are equal
            continue
        figure = _difference(right, parts[best], parts[worst], groups=groups)
        yield Gap(
            attribute=attribute,
            class_name=name,
            best=best,
            worst=worst,
            value=figure.value,
            low=figure.low,
            high=figure.high,
        )


def view_gap(views: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, groups: np.ndarray) -> Figure:
    """How far right answers depend on a film's view being the usual one of its class.

    Of the classes that are mostly AP, the accuracy on AP films less that on PA films; of those that are mostly PA, the
    reverse; and of these two the smaller. Disease that is worse in bed makes the first positive, or better films
    standing the second, but only a model that answers by the view makes both.

    Returns:
        The gap with its interval, -1..1; undefined where a class of either kind, or ten films of either view in one of
        the kinds, are missing.
    """
    ap, pa = views == "AP", views == "PA"
    surplus = {label: int(ap[labels == label].sum()) - int(pa[labels == label].sum()) for label in np.unique(labels)}
    mostly_ap = [label for label, more in surplus.items() if more > 0]
    mostly_pa = [label for label, more in surplus.items() if more < 0]
    right = (predicted == labels).astype(float)
    cells = [np.isin(labels, kind) & view for kind in (mostly_ap, mostly_pa) for view in (ap, pa)]
    if min(cell.sum() for cell in cells) < LEAST_IMAGES:
        return UNDEFINED

    def statistic(weights: np.ndarray) -> np.ndarray:
        of_ap, of_pa, of_standing_ap, of_standing = (
            ratio(weights[:, cell] @ right[cell], weights[:, cell].sum(axis=1)) for cell in cells
        )
        return np.asarray(np.minimum(of_ap - of_pa, of_standing - of_standing_ap))

    return Bootstrap(groups).figure(statistic)


def _difference(right: np.ndarray, one: np.ndarray, other: np.ndarray, *, groups: np.ndarray) -> Figure:
    def statistic(weights: np.ndarray) -> np.ndarray:
        first, second = (ratio(weights[:, part] @ right[part], weights[:, part].sum(axis=1)) for part in (one, other))
        return np.asarray(first - second)

    return Bootstrap(groups).figure(statistic)


def _values(values: np.ndarray) -> list[str]:
    """The values that are known, ages from young to old."""
    found = [str(value) for value in np.unique(values) if value]
    order = list(AGE_BANDS)
    return sorted(found, key=lambda value: (order.index(value) if value in order else -1, value))
