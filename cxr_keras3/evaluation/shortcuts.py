"""Asks the model itself: what is left without the lungs, and does it need a cue that has nothing to do with them?"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from cxr_keras3.evaluation import regions
from cxr_keras3.statistics import metrics

Predict = Callable[[np.ndarray, str], np.ndarray]
"""Takes uint8 images (N, 299, 299, 1) and what the progress bar says; gives probabilities (N, classes)."""

MOST_IMAGES = 1000
"""Images the tests are made on; of a larger split as many are drawn."""

LEAST_IMAGES = 10
"""Images of a class, with masks, that the region tests need to count it."""


def sample(labels: np.ndarray) -> np.ndarray:
    """Positions of at most `MOST_IMAGES` images, ascending."""
    generator = np.random.default_rng(0)
    return np.sort(generator.permutation(len(labels))[:MOST_IMAGES])


def cue_gaps(
    predict: Predict, images: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, seed: int = 0
) -> dict[str, metrics.Figure]:
    """How far right answers depend on a cue's coming from the right class.

    Each image receives each cue twice: from another image of its own class, and from one of another class, all other
    classes equally often. The gap is the accuracy with the former less that with the latter: 0 where the cue does not
    matter or the change as such disturbs the model, near 1 where the cue decides. After the background gap of Xiao et
    al., "Noise or Signal: The Role of Image Backgrounds in Object Recognition", ICLR 2021.

    Args:
        predict: The model.
        images: uint8 (N, 299, 299, 1).
        labels: int (N,), at least two classes.
        groups: (N,).
        seed: Decides the donors.

    Returns:
        By cue, a key of `regions.SWAPS`, the gap with its interval; -1..1.
    """
    generator = np.random.default_rng(seed)
    donors = {"another class": _donors(labels, generator), "the same class": _fellows(labels, generator)}
    figures = {}
    for name, swap in regions.SWAPS.items():
        right = {
            origin: predict(swap(images, images[chosen]), f"{name} of {origin}").argmax(axis=1) == labels
            for origin, chosen in donors.items()
        }
        gap = right["the same class"].astype(float) - right["another class"]
        figures[name] = metrics.mean(gap, groups=groups)
    return figures


def _donors(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each image the position of one of another class, the classes equally often."""
    members = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    others = {label: [other for other in members if other != label] for label in members}
    return np.array([generator.choice(members[int(generator.choice(others[int(label)]))]) for label in labels])


def _fellows(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each image the position of another of its class; its own where it is the only one."""
    fellows = np.arange(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        fellows[members] = np.roll(members, 1)
    return fellows


def without_regions(
    predict: Predict, images: np.ndarray, masks: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, class_count: int
) -> dict[str, Any]:
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
        Numbers of images used and left out, `chance` (what a constant answer gets), figures on the
        images as they are and changed, the drop each change causes, and `background_share`: how much of
        what the model has above chance is left without the lungs. `images` is 0, and no figure there, where fewer
        than two classes are left.
    """
    with_mask = masks.any(axis=(1, 2))
    counts = np.bincount(labels[with_mask], minlength=class_count)
    judged = np.flatnonzero(counts >= LEAST_IMAGES)
    used = np.flatnonzero(with_mask & np.isin(labels, judged))
    found: dict[str, Any] = {
        "images": len(used),
        "without_mask": int((~with_mask).sum()),
        "classes": judged.tolist(),
    }
    if len(judged) < 2:
        return found | {"images": 0}
    kept, mask = images[used], masks[used]
    changed = {
        "unchanged": kept,
        "lungs_only": regions.lungs_only(kept, mask),
        "background_only": regions.background_only(kept, mask),
        "lungs_blurred": regions.lungs_blurred(kept, mask),
        "border_cropped": regions.border_cropped(kept),
    }
    predicted = {name: predict(part, name.replace("_", " ")).argmax(axis=1) for name, part in changed.items()}
    figures = _region_figures(predicted, labels[used], groups[used], judged, class_count)
    return found | {"chance": 1.0 / len(judged), **figures}


def _region_figures(
    predicted: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, judged: np.ndarray, class_count: int
) -> dict[str, Any]:
    changes = [name for name in predicted if name != "unchanged"]

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        recalls = {
            name: [
                metrics.recall(metrics.confusion(labels, answer, class_count, weights)[:, index], index)
                for index in judged
            ]
            for name, answer in predicted.items()
        }
        found = {f"accuracy/{name}": np.mean(columns, axis=0) for name, columns in recalls.items()}
        full = found["accuracy/unchanged"]
        drops = {f"drop/{name}": full - found[f"accuracy/{name}"] for name in changes}
        above_chance = np.where(full - 1 / len(judged) > 0.05, full - 1 / len(judged), np.nan)
        left = (found["accuracy/background_only"] - 1 / len(judged)) / above_chance
        return found | drops | {"background_share": left}

    figures = metrics.bootstrap(compute, groups=groups)
    return {
        "balanced_accuracy": {name: figures[f"accuracy/{name}"] for name in predicted},
        "drop": {name: figures[f"drop/{name}"] for name in changes},
        "background_share": figures["background_share"],
    }


def activation_in_lungs(
    maps: np.ndarray, masks: np.ndarray, predicted: np.ndarray, *, groups: np.ndarray
) -> dict[str, Any]:
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
        heat = enlarge(np.maximum(maps[index, :, :, predicted[index]], 0.0))
        if heat.sum() > 0:  # a class may win although no part of the image speaks for it
            shares.append(heat[masks[index]].sum() / heat.sum())
            areas.append(masks[index].mean())
            kept.append(index)
    chosen = groups[kept]
    return {
        "images": len(kept),
        "map_cells": list(maps.shape[1:3]),
        "share": metrics.mean(np.array(shares), groups=chosen),
        "area": metrics.mean(np.array(areas), groups=chosen),
        "excess": metrics.mean(np.array(shares) - np.array(areas), groups=chosen),
    }


def enlarge(heat: np.ndarray) -> np.ndarray:
    """A map float (h, w) at the image's size, float32 (299, 299), interpolated linearly."""
    drawn = Image.fromarray(heat.astype(np.float32))
    return np.asarray(drawn.resize((regions.SIDE, regions.SIDE), Image.Resampling.BILINEAR))
