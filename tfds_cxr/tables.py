"""Counts and distributions of a built dataset, for its report."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfds_cxr.labels import LABELS
from tfds_cxr.provenance import UNKNOWN

if TYPE_CHECKING:
    from tfds_cxr.survey import Facts

BINS = 32  # of the distributions


def by_class(facts: Sequence["Facts"]) -> dict[str, dict[str, Any]]:
    """Counts, brightness and size of each class's images; a class without images is left out."""
    rows = {}
    largest = max(fact.kilobytes for fact in facts)
    for label in LABELS:
        of_class = [fact for fact in facts if fact.label == label]
        if of_class:
            rows[label] = {
                "images": len(of_class),
                "with_mask": sum(fact.has_mask for fact in of_class),
                "modes": Counter(fact.original_mode for fact in of_class).most_common(),
                "groups": len({fact.group_id for fact in of_class}),
                "patients": len({fact.patient_id for fact in of_class} - {""}),
                "brightness": _distribution([fact.brightness for fact in of_class], top=256),
                "kilobytes": _distribution([fact.kilobytes for fact in of_class], top=largest),
            }
    return rows


def _distribution(values: Sequence[float], *, top: float) -> dict[str, Any]:
    """Quartiles, and the share of the values in each of `BINS` equal steps from 0 to `top`."""
    histogram, _ = np.histogram(values, bins=BINS, range=(0, top))
    return {
        "quartiles": np.percentile(values, (25, 50, 75)).tolist(),
        "histogram": (histogram / len(values)).tolist(),
        "top": top,
    }


def by_source(facts: Sequence["Facts"]) -> list[dict[str, Any]]:
    """Images of each class, source and split: a row for each class and source, the largest first."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for fact in facts:
        counts[fact.label, fact.source][fact.split] += 1
    ordered = sorted(counts.items(), key=lambda item: (LABELS.index(item[0][0]), -item[1].total(), item[0]))
    return [
        {"label": label, "source": source, "splits": splits, "images": splits.total()}
        for (label, source), splits in ordered
    ]


def by_patient(facts: Sequence["Facts"]) -> dict[str, dict[str, Any]]:
    """Views, sexes and ages of each class; a class of which none is known is left out."""
    classes: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        if fact.patient_id:
            classes[fact.patient_id].add(fact.label)
    rows = {}
    for label in LABELS:
        of_class = [fact for fact in facts if fact.label == label]
        ages = [fact.age for fact in of_class if fact.age is not None]
        if any(fact.patient_id or fact.view for fact in of_class):
            rows[label] = {
                "images": len(of_class),
                "patients": len({fact.patient_id for fact in of_class} - {""}),
                "in_another_class": sum(
                    bool(fact.patient_id) and len(classes[fact.patient_id]) > 1 for fact in of_class
                ),
                "views": Counter(fact.view for fact in of_class),
                "sexes": Counter(fact.sex for fact in of_class),
                "ages": np.percentile(ages, (25, 50, 75)).tolist() if ages else None,
                "under_18": sum(age < 18 for age in ages),
            }
    return rows


def oracle(facts: Sequence["Facts"], by: str) -> dict[str, float]:
    """Accuracies of naming the largest class: of all images, and of the images that share an attribute.

    The second is what one attains who recognises that attribute and knows nothing of disease.

    Args:
        facts: Of every image; none gives nothing.
        by: Name of the attribute, "source" or "view".
    """
    if not facts:
        return {}
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in facts:
        labels[getattr(fact, by)][fact.label] += 1
    largest_class = max(Counter(fact.label for fact in facts).values())
    return {
        "largest_class": largest_class / len(facts),
        "known": sum(max(of_value.values()) for of_value in labels.values()) / len(facts),
    }


def claims(facts: Sequence["Facts"]) -> tuple[int, int]:
    """How many images the metadata's URL names the recovered source of, and how many have one."""
    known = [fact for fact in facts if fact.source != UNKNOWN]
    return sum(fact.claimed_source == fact.source for fact in known), len(known)


def groups_in_several_splits(facts: Sequence["Facts"]) -> int:
    """How many groups have images in more than one split; none should."""
    splits = defaultdict(set)
    for fact in facts:
        splits[fact.group_id].add(fact.split)
    return sum(len(of_group) > 1 for of_group in splits.values())
