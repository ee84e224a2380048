"""Swapped cues: do right answers depend on something that has nothing to do with the lungs?"""

from collections.abc import Callable, Mapping

import numpy as np

from cxr_keras3.evaluation.audit.interventions import Images, swap_border, swap_corners, swap_exposure
from cxr_keras3.evaluation.audit.sharpness import swap_sharpness
from cxr_keras3.statistics.bootstrap import mean
from cxr_keras3.statistics.figures import Figure

Predict = Callable[[np.ndarray, str], np.ndarray]
"""Takes uint8 images (N, 299, 299, 1) and what the progress bar says; gives probabilities (N, classes)."""

SWAPS: Mapping[str, Callable[[Images, Images], Images]] = {
    "marker": swap_corners,
    "border": swap_border,
    "exposure": swap_exposure,
    "sharpness": swap_sharpness,
}
"""Each cue, and the function that puts a donor's into an image."""

MOST_IMAGES = 1000
"""Images the tests are made on; of a larger split as many are drawn."""


def sample(labels: np.ndarray) -> np.ndarray:
    """Positions of at most `MOST_IMAGES` images, ascending."""
    generator = np.random.default_rng(0)
    return np.sort(generator.permutation(len(labels))[:MOST_IMAGES])


def cue_gaps(
    predict: Predict, images: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, seed: int = 0
) -> dict[str, Figure]:
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
        By cue, a key of `SWAPS`, the gap with its interval; -1..1.
    """
    generator = np.random.default_rng(seed)
    donors = {"another class": _donors(labels, generator), "the same class": _fellows(labels, generator)}
    figures = {}
    for name, swap in SWAPS.items():
        right = {
            origin: predict(swap(images, images[chosen]), f"{name} of {origin}").argmax(axis=1) == labels
            for origin, chosen in donors.items()
        }
        gap = right["the same class"].astype(float) - right["another class"]
        figures[name] = mean(gap, groups=groups)
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
