"""Figures within view, sex and age, how far recall differs between them, and whether the view decides."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import logsumexp

from cxr_keras3.evaluation.audit.sources import LEAST_IMAGES, Part, source_probe
from cxr_keras3.run.source_tests import Probe
from cxr_keras3.run.subgroup_tests import Gap, Subgroup, SubgroupTests, ViewTests
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.statistics.bootstrap import Bootstrap, Statistic, ratio, share
from cxr_keras3.statistics.figures import UNDEFINED
from cxr_keras3.statistics.metrics import mean_recall
from cxr_keras3.training.data import Split
from tfds_cxr.provenance import UNKNOWN

LEAST_OF_A_VIEW = 5
"""Films of a class in each view, below which it has no part in the tests of the view."""

Probed = tuple[Part, np.ndarray]
"""What probes are fitted on, and the view of each image of it, text (N,)."""

AGE_BANDS = {"under 18": (0, 18), "18 to 39": (18, 40), "40 to 59": (40, 60), "60 and over": (60, 200)}
"""Years, the first within, the second not: children, and adults in three parts of about equal size in RSNA's films."""


def subgroup_tests(
    examples: Split,
    outputs: Outputs,
    *,
    probed: Probed | None,
    class_names: tuple[str, ...],
) -> SubgroupTests:
    """Measures all that depends on view, sex and age.

    Args:
        examples: The split.
        outputs: What the model gives for it.
        probed: The validation split as probes see it, and its views; None leaves the probe out.
        class_names: In the order of the labels.
    """
    predicted = outputs.logits.argmax(axis=1)
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
            (outputs.features, examples.labels, named(examples.views)),
            groups=examples.group_ids,
            class_names=class_names,
        )
    return SubgroupTests(
        by_attribute={name: rows for name, rows in found.items() if rows},
        gaps=tuple(gaps),
        view=view_tests(examples.views, examples.labels, outputs.logits, groups=examples.group_ids),
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
        figure = Bootstrap(groups).figure(_mean_difference(right, [(parts[best], parts[worst])]))
        yield Gap(
            attribute=attribute,
            class_name=name,
            best=best,
            worst=worst,
            value=figure.value,
            low=figure.low,
            high=figure.high,
        )


def view_tests(views: np.ndarray, labels: np.ndarray, logits: np.ndarray, *, groups: np.ndarray) -> ViewTests:
    """Whether answers depend on a film's view being the usual one of its class, and by how much.

    A class is mostly AP or mostly PA. The gap is its recall on films of that view less its recall on the others, the
    mean over the classes. It alone proves nothing: disease that is worse in bed makes one too. But a model that answers
    by the view says "mostly AP" more readily of AP films whatever they show. So the shift is taken in each class, from
    PA to AP: of the log-odds of the classes that are mostly AP against those that are mostly PA. Severe disease shifts
    the diseased classes alone, poor films shift both kinds apart; use of the view shifts both kinds the same way.

    Returns:
        The tests, of classes with `LEAST_OF_A_VIEW` films of each view; undefined where either kind has none.
    """
    films = {view: [(labels == label) & (views == view) for label in range(logits.shape[1])] for view in ("AP", "PA")}
    counts = {view: np.array([part.sum() for part in parts]) for view, parts in films.items()}
    enough = np.minimum(counts["AP"], counts["PA"]) >= LEAST_OF_A_VIEW
    kinds = {"AP": enough & (counts["AP"] > counts["PA"]), "PA": enough & (counts["PA"] > counts["AP"])}
    if not all(kind.any() for kind in kinds.values()):
        return ViewTests(gap=UNDEFINED, shift={})
    sides = (logits[:, counts["AP"] > counts["PA"]], logits[:, counts["PA"] > counts["AP"]])
    odds = logsumexp(sides[0], axis=1) - logsumexp(sides[1], axis=1)
    right = (logits.argmax(axis=1) == labels).astype(float)
    usual = [
        (films[view][index], films["PA" if view == "AP" else "AP"][index])
        for view, kind in kinds.items()
        for index in np.flatnonzero(kind)
    ]
    samples = Bootstrap(groups)
    return ViewTests(
        gap=samples.figure(_mean_difference(right, usual)),
        shift={
            view: samples.figure(
                _mean_difference(odds, [(films["AP"][index], films["PA"][index]) for index in np.flatnonzero(kind)])
            )
            for view, kind in kinds.items()
        },
    )


def _mean_difference(values: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Statistic:
    """The mean over pairs of parts of the mean on the one less that on the other."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        def average(part: np.ndarray) -> np.ndarray:
            return ratio(weights[:, part] @ values[part], weights[:, part].sum(axis=1))

        return np.asarray(np.mean([average(one) - average(other) for one, other in pairs], axis=0))

    return statistic


def _values(values: np.ndarray) -> list[str]:
    """The values that are known, ages from young to old."""
    found = [str(value) for value in np.unique(values) if value]
    order = list(AGE_BANDS)
    return sorted(found, key=lambda value: (order.index(value) if value in order else -1, value))
