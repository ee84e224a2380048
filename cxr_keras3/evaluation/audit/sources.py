"""Does the model see the disease or the collection an image comes from? Figures within and across sources."""

from itertools import combinations
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_keras3.run.source_tests import Contrast, LeftOut, Probe, SubsetAccuracy
from cxr_keras3.statistics.bootstrap import Bootstrap, mean, share
from cxr_keras3.statistics.metrics import auroc, balanced_accuracy, mean_recall
from tfds_cxr.provenance import UNKNOWN

Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Images as a probe sees them: features float (N, channels), labels int (N,) and sources (N,)."""

LEAST_IMAGES = 10
"""Images of a source, or of a class within it, below which no figure is given."""

CHILDREN = ("kermany",)
"""Sources of children's films (Kermany et al., Cell 172, 2018: patients of one to five years). The ages of single
patients are not in the database; all other known sources are taken as adults, of which a few will not be."""


def by_source(
    labels: np.ndarray, predicted: np.ndarray, sources: np.ndarray, *, groups: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, SubsetAccuracy]:
    """Accuracy on each source's images, with the classes found there."""
    return {
        str(source): _subset(sources == source, labels, predicted, groups, class_names)
        for source in np.unique(sources)
        if (sources == source).sum() >= LEAST_IMAGES
    }


def by_age_group(
    labels: np.ndarray, predicted: np.ndarray, sources: np.ndarray, *, groups: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, SubsetAccuracy]:
    """Accuracy on children's and on adults' films, told by source; empty where no source is known."""
    children, known = np.isin(sources, CHILDREN), sources != UNKNOWN
    parts = {"children": children, "adults": known & ~children}
    return {
        name: _subset(part, labels, predicted, groups, class_names)
        for name, part in parts.items()
        if part.sum() >= LEAST_IMAGES
    }


def _subset(
    part: np.ndarray, labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray, class_names: tuple[str, ...]
) -> SubsetAccuracy:
    counts = np.bincount(labels[part], minlength=len(class_names))
    return SubsetAccuracy(
        images=int(part.sum()),
        classes={name: int(count) for name, count in zip(class_names, counts, strict=True) if count},
        accuracy=share((predicted == labels)[part], groups=groups[part]),
    )


def fair_contrasts(
    labels: np.ndarray,
    probabilities: np.ndarray,
    sources: np.ndarray,
    *,
    groups: np.ndarray,
    class_names: tuple[str, ...],
) -> tuple[Contrast, ...]:
    """Two classes told apart within one source, where knowing the source does not help.

    Only the two classes' probabilities are compared. In the published database there are two such
    contrasts: Normal against Lung_Opacity of RSNA, Normal against Viral Pneumonia of Kermany.
    """
    found = []
    for source in np.unique(sources[sources != UNKNOWN]):
        counts = np.bincount(labels[sources == source], minlength=len(class_names))
        for one, other in combinations(np.flatnonzero(counts >= LEAST_IMAGES), 2):
            part = (sources == source) & np.isin(labels, (one, other))
            pair = probabilities[part][:, [one, other]]
            samples = Bootstrap(groups[part])
            truth, chance = (labels[part] == other).astype(int), pair[:, 1] / pair.sum(axis=1)
            found.append(
                Contrast(
                    source=str(source),
                    classes=(class_names[one], class_names[other]),
                    images=int(part.sum()),
                    auroc=samples.figure(auroc(truth == 1, chance)),
                    balanced_accuracy=samples.figure(mean_recall(truth, (chance > 0.5).astype(int), np.arange(2))),
                )
            )
    return tuple(found)


def exclusive_classes(labels: np.ndarray, sources: np.ndarray, *, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Classes none of whose known sources holds another class: there, disease and source cannot be told apart."""
    known = {
        name: set(sources[(labels == index) & (sources != UNKNOWN)].tolist()) for index, name in enumerate(class_names)
    }
    return tuple(
        name
        for name, own in known.items()
        if own and not own & set().union(*(others for other, others in known.items() if other != name))
    )


def source_probe(
    fit: Part,
    test: Part,
    *,
    groups: np.ndarray,
    class_names: tuple[str, ...],
) -> dict[str, Probe]:
    """How well a linear probe reads the source from the model's features, within each class of several sources.

    Within a class the source says nothing of the disease, so a perfect model's features need not hold it.

    Args:
        fit: What the probe is fitted on.
        test: What it is scored on.
        groups: (N,), of the latter.
        class_names: In the order of the labels.

    Returns:
        By class, the sources told apart, balanced accuracy and what chance gives.
    """
    found = {}
    for index, name in enumerate(class_names):
        common = _sources_in_both(fit[1] == index, fit[2], test[1] == index, test[2])
        if len(common) < 2:
            continue
        learnt, scored = ((part[1] == index) & np.isin(part[2], common) for part in (fit, test))
        probe = _linear().fit(fit[0][learnt], fit[2][learnt])
        answers = np.searchsorted(common, probe.predict(test[0][scored]))
        truth = np.searchsorted(common, test[2][scored])
        statistic = balanced_accuracy(truth, np.eye(len(common))[answers])
        accuracy = Bootstrap(groups[scored]).figure(statistic)
        found[name] = Probe(
            value=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            sources=tuple(common),
            images=int(scored.sum()),
            chance=1 / len(common),
        )
    return found


def _sources_in_both(fit: np.ndarray, fit_sources: np.ndarray, test: np.ndarray, test_sources: np.ndarray) -> list[str]:
    return [
        str(source)
        for source in np.unique(test_sources)
        if source != UNKNOWN
        and (fit & (fit_sources == source)).sum() >= LEAST_IMAGES
        and (test & (test_sources == source)).sum() >= LEAST_IMAGES
    ]


def leave_one_source_out(
    fit: Part,
    test: Part,
    *,
    groups: np.ndarray,
    class_names: tuple[str, ...],
) -> tuple[LeftOut, ...]:
    """Recall of a class on a source whose images of that class a new linear head has not seen, and if it has.

    Only the head is fitted anew: the backbone saw the source in training, so the fall is a lower bound of
    what a hospital that is new to the model would see. Only sources that hold one class are left out:
    without RSNA there would be no Lung_Opacity. Images of unknown source could be of the one left out; they
    are not fitted on. Arguments are those of `source_probe`.

    Returns:
        One row for each such source with enough images, where its class has others to learn from.
    """
    found = []
    known = fit[2] != UNKNOWN
    features, labels, sources = (part[known] for part in fit)
    for index, name in enumerate(class_names):
        for source in np.unique(sources[labels == index]):
            left_out = sources == source
            scored = (test[1] == index) & (test[2] == source)
            exclusive = (labels[left_out] == index).all()
            enough = min(scored.sum(), (labels[~left_out] == index).sum()) >= LEAST_IMAGES
            if not (exclusive and enough):
                continue
            heads = [_linear().fit(features[kept], labels[kept]) for kept in (slice(None), ~left_out)]
            seen, unseen = (head.predict(test[0][scored]) == index for head in heads)
            found.append(
                LeftOut(
                    class_name=name,
                    source=str(source),
                    images=int(scored.sum()),
                    recall_seen=share(seen, groups=groups[scored]),
                    recall_unseen=share(unseen, groups=groups[scored]),
                    drop=mean(seen.astype(float) - unseen, groups=groups[scored]),
                )
            )
    return tuple(found)


def _linear() -> Any:  # noqa: ANN401 -- scikit-learn ships no types
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
