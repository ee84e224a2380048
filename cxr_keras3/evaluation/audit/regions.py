"""Regions taken away, and where the class activation lies: what is left without the lungs?"""

import numpy as np

from cxr_keras3.evaluation.audit import interventions
from cxr_keras3.evaluation.audit.cues import Predict
from cxr_keras3.lungs.evidence import share_inside
from cxr_keras3.run.audit import Activation, RegionTests
from cxr_keras3.statistics.bootstrap import Bootstrap, Statistic, mean
from cxr_keras3.statistics.metrics import mean_recall

LEAST_IMAGES = 10
"""Images of a class, with masks, that the region tests need to count it."""

LEAST_ABOVE_CHANCE = 0.05
"""Balanced accuracy above chance, below which a share of it means nothing."""


def without_regions(
    predict: Predict, images: np.ndarray, masks: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, class_count: int
) -> RegionTests:
    """Balanced accuracy with parts of the image taken away, on the images that have masks.

    Classes with fewer than `LEAST_IMAGES` masks are left out.

    Args:
        predict: The model.
        images: uint8 (N, 299, 299, 1).
        masks: bool (N, 299, 299), all false where an image has none.
        labels: int (N,).
        groups: (N,).
        class_count: Classes the model tells apart.

    Returns:
        The figures; none, and 0 images, where fewer than two classes are left.
    """
    with_mask = masks.any(axis=(1, 2))
    counts = np.bincount(labels[with_mask], minlength=class_count)
    judged = np.flatnonzero(counts >= LEAST_IMAGES)
    used = np.flatnonzero(with_mask & np.isin(labels, judged))
    without_mask, classes = int((~with_mask).sum()), tuple(judged.tolist())
    if len(judged) < 2:
        return RegionTests(images=0, without_mask=without_mask, classes=classes)
    kept, mask = images[used], masks[used]
    changed = {
        "unchanged": kept,
        "lungs_only": interventions.lungs_only(kept, mask),
        "background_only": interventions.background_only(kept, mask),
        "lungs_blurred": interventions.lungs_blurred(kept, mask),
        "border_cropped": interventions.border_cropped(kept),
    }
    predicted = {name: predict(part, name.replace("_", " ")).argmax(axis=1) for name, part in changed.items()}
    truth, samples = labels[used], Bootstrap(groups[used])
    accuracies = {name: mean_recall(truth, answer, judged) for name, answer in predicted.items()}
    full, background, chance = accuracies["unchanged"], accuracies["background_only"], 1.0 / len(judged)

    def background_share(weights: np.ndarray) -> np.ndarray:
        above_chance = full(weights) - chance
        return (background(weights) - chance) / np.where(above_chance > LEAST_ABOVE_CHANCE, above_chance, np.nan)

    return RegionTests(
        images=len(used),
        without_mask=without_mask,
        classes=classes,
        chance=chance,
        balanced_accuracy={name: samples.figure(accuracy) for name, accuracy in accuracies.items()},
        drop={
            name: samples.figure(_less(full, accuracy)) for name, accuracy in accuracies.items() if name != "unchanged"
        },
        background_share=samples.figure(background_share),
    )


def _less(one: Statistic, other: Statistic) -> Statistic:
    return lambda weights: one(weights) - other(weights)


def activation_in_lungs(
    maps: np.ndarray, masks: np.ndarray, predicted: np.ndarray, *, groups: np.ndarray
) -> Activation:
    """The share of the predicted class's positive activation that lies in the lungs, and the lungs' share of the area.

    Args:
        maps: Class activation maps, float (N, h, w, classes).
        masks: bool (N, 299, 299), all false where an image has none.
        predicted: int (N,).
        groups: (N,).
    """
    used = np.flatnonzero(masks.any(axis=(1, 2)))
    shares, areas, kept = [], [], []
    for index in used:
        share = share_inside(maps[index, :, :, predicted[index]], masks[index])
        if share is not None:  # a class may win although no part of the image speaks for it
            shares.append(share)
            areas.append(masks[index].mean())
            kept.append(index)
    chosen = groups[kept]
    return Activation(
        images=len(kept),
        map_cells=(int(maps.shape[1]), int(maps.shape[2])),
        share=mean(np.array(shares), groups=chosen),
        area=mean(np.array(areas), groups=chosen),
        excess=mean(np.array(shares) - np.array(areas), groups=chosen),
    )
