"""The shortcut audit: floors, swapped cues, regions, activation and sources, and the verdict on them."""

from typing import Any

import numpy as np

from cxr_keras3.evaluation import shortcuts, sources
from cxr_keras3.evaluation.scoring import Outputs
from cxr_keras3.evaluation.verdict import verdict
from cxr_keras3.statistics import metrics
from cxr_keras3.training import data


def audit(
    predict: shortcuts.Predict,
    examples: data.Split,
    masks: np.ndarray,
    outputs: Outputs,
    *,
    probed: sources.Part | None,
    floor_answers: dict[str, np.ndarray],
    class_names: tuple[str, ...],
    macro_auroc: float | None,
) -> dict[str, Any]:
    """Audits a model on a split.

    Args:
        predict: The model.
        examples: The split.
        masks: Its lung masks, see `masks.load`.
        outputs: What the model gives for it.
        probed: The validation split, on which probes of the features are fitted: the backbone was not. None
            leaves the probes out.
        floor_answers: What each floor predicts for the split, see `floors.predict`.
        class_names: In the order of the logits.
        macro_auroc: The model's, on the split.

    Returns:
        The `audit` part of metrics.json, see docs/metrics-schema.md.
    """
    labels, groups = examples.labels, examples.group_ids
    predicted = outputs.logits.argmax(axis=1)
    drawn = shortcuts.sample(labels)
    subset = (examples.images[drawn], labels[drawn], groups[drawn])
    names: dict[str, Any] = {"groups": groups, "class_names": class_names}
    test = (outputs.features, labels, examples.sources)
    found: dict[str, Any] = {
        "images": len(drawn),
        "margin": margin(predicted, floor_answers, labels, groups=groups),
        "cues": shortcuts.cue_gaps(predict, subset[0], subset[1], groups=subset[2]),
        "regions": shortcuts.without_regions(
            predict, subset[0], masks[drawn], subset[1], groups=subset[2], class_count=len(class_names)
        ),
        "activation": shortcuts.activation_in_lungs(outputs.maps, masks, predicted, groups=groups),
        "sources": {
            "by_source": sources.by_source(labels, predicted, examples.sources, **names),
            "by_age_group": sources.by_age_group(labels, predicted, examples.sources, **names),
            "exclusive_classes": sources.exclusive_classes(labels, examples.sources, class_names=class_names),
            "fair_contrasts": sources.fair_contrasts(
                labels, metrics.softmax(outputs.logits), examples.sources, **names
            ),
            "probe": sources.source_probe(probed, test, **names) if probed else {},
            "left_out": sources.leave_one_source_out(probed, test, **names) if probed else [],
        },
    }
    return {**verdict(found, macro_auroc=macro_auroc), **found}


def margin(
    predicted: np.ndarray, floor_answers: dict[str, np.ndarray], labels: np.ndarray, *, groups: np.ndarray
) -> dict[str, Any]:
    """The model's accuracy less that of the best floor on the same images, and which floor that is."""
    best = max(floor_answers, key=lambda name: (floor_answers[name] == labels).mean())
    gain = (predicted == labels).astype(float) - (floor_answers[best] == labels)
    return {"floor": best, **metrics.mean(gain, groups=groups)}
