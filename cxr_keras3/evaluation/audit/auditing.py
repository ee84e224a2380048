"""Audits a model on a split: asks it, measures what its figures could rest on, and judges."""

from collections.abc import Mapping

import numpy as np

from cxr_keras3.evaluation.audit import cues, regions, sources
from cxr_keras3.evaluation.audit.masks import Masks
from cxr_keras3.evaluation.audit.sharpness import degraded
from cxr_keras3.evaluation.audit.subgroups import Probed, subgroup_tests
from cxr_keras3.evaluation.audit.verdict import judge
from cxr_keras3.run.audit import Audit, AuditFigures, LungMasks, Margin
from cxr_keras3.run.source_tests import SourceTests
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.statistics.bootstrap import mean
from cxr_keras3.statistics.figures import Figure
from cxr_keras3.statistics.metrics import softmax
from cxr_keras3.training.data import Split


def audit(
    predict: cues.Predict,
    examples: Split,
    masks: Masks,
    outputs: Outputs,
    *,
    probed: Probed | None,
    floor_answers: Mapping[str, np.ndarray],
    class_names: tuple[str, ...],
    macro_auroc: float | None,
) -> Audit:
    """Audits a model on a split.

    Args:
        predict: The model.
        examples: The split.
        masks: Its lung masks, see `masks.load_masks`.
        outputs: What the model gives for it.
        probed: The validation split and its views, on which probes of the features are fitted: the backbone was not.
            None leaves the probes out.
        floor_answers: What each floor predicts for the split, see `floors.floor_answers`.
        class_names: In the order of the logits.
        macro_auroc: The model's, on the split.
    """
    labels, groups = examples.labels, examples.group_ids
    predicted = outputs.logits.argmax(axis=1)
    drawn = cues.sample(labels)
    drawn_by_people = masks.only_drawn
    tests = {
        name: regions.without_regions(
            predict,
            examples.images[drawn],
            lungs[drawn],
            labels[drawn],
            groups=groups[drawn],
            class_count=len(class_names),
        )
        for name, lungs in (("all", masks.lungs), ("drawn", drawn_by_people))
    }
    known = np.isfinite(masks.agreement)
    figures = AuditFigures(
        images=len(drawn),
        margin=margin(predicted, floor_answers, labels, groups=groups),
        cues=cues.cue_gaps(predict, examples.images[drawn], labels[drawn], groups=groups[drawn]),
        lungs=LungMasks(
            drawn=int(masks.drawn.sum()),
            found=int((masks.lungs.any(axis=(1, 2)) & ~masks.drawn).sum()),
            agreement=mean(masks.agreement[known], groups=groups[known]),
        ),
        regions=tests["all"],
        regions_drawn=tests["drawn"],
        activation=regions.activation_in_lungs(outputs.activation_maps, masks.lungs, predicted, groups=groups),
        sources=_source_tests(examples, outputs, probed=probed[0] if probed else None, class_names=class_names),
        subgroups=subgroup_tests(examples, outputs, probed=probed, class_names=class_names),
        degraded=_lost_when_degraded(predict, examples, predicted, drawn, class_names=class_names),
    )
    return judge(figures, macro_auroc=macro_auroc)


def margin(
    predicted: np.ndarray, floor_answers: Mapping[str, np.ndarray], labels: np.ndarray, *, groups: np.ndarray
) -> Margin:
    """The model's accuracy less that of the best floor on the same images, and which floor that is."""
    best = max(floor_answers, key=lambda name: (floor_answers[name] == labels).mean())
    gain = mean((predicted == labels).astype(float) - (floor_answers[best] == labels), groups=groups)
    return Margin(value=gain.value, low=gain.low, high=gain.high, floor=best)


def _lost_when_degraded(
    predict: cues.Predict, examples: Split, predicted: np.ndarray, drawn: np.ndarray, *, class_names: tuple[str, ...]
) -> dict[str, Figure]:
    """Accuracy less that on the same images brought through 224 pixels and JPEG: of all, and of each class."""
    labels, groups = examples.labels[drawn], examples.group_ids[drawn]
    after = predict(degraded(examples.images[drawn]), "224 pixels and JPEG").argmax(axis=1)
    lost = (predicted[drawn] == labels).astype(float) - (after == labels)
    parts = {"all": np.ones(len(drawn), dtype=bool)}
    parts |= {name: labels == index for index, name in enumerate(class_names) if (labels == index).any()}
    return {name: mean(lost[part], groups=groups[part]) for name, part in parts.items()}


def _source_tests(
    examples: Split, outputs: Outputs, *, probed: sources.Part | None, class_names: tuple[str, ...]
) -> SourceTests:
    labels, groups, predicted = examples.labels, examples.group_ids, outputs.logits.argmax(axis=1)
    test = (outputs.features, labels, examples.sources)
    seen = (labels, predicted, examples.sources)
    return SourceTests(
        by_source=sources.by_source(*seen, groups=groups, class_names=class_names),
        by_age_group=sources.by_age_group(*seen, groups=groups, class_names=class_names),
        exclusive_classes=sources.exclusive_classes(labels, examples.sources, class_names=class_names),
        fair_contrasts=sources.fair_contrasts(
            labels, softmax(outputs.logits), examples.sources, groups=groups, class_names=class_names
        ),
        probe=sources.source_probe(probed, test, groups=groups, class_names=class_names) if probed else {},
        left_out=sources.leave_one_source_out(probed, test, groups=groups, class_names=class_names) if probed else (),
    )
