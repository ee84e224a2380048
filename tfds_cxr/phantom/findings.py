"""What each class shows in the lungs of a phantom."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from tfds_cxr.phantom.anatomy import Chest
from tfds_cxr.phantom.canvas import CANVAS, SIDES, SPAN, UNIT, FloatImage, Layer, X, Y, smooth_noise


def add_finding(chest: Chest, label: str, rng: np.random.Generator) -> Chest:
    """Gives a chest the finding of a class, inside its lungs; strength and extent vary.

    COVID: ground-glass patches at the periphery of both lower lungs. Lung_Opacity: one dense
    consolidation. Viral Pneumonia: a net of streaks around both hila. Normal: none.
    """
    draw_extra = {"COVID": _ground_glass, "Lung_Opacity": _consolidation, "Viral Pneumonia": _streaks}
    if label not in draw_extra:
        return chest
    extra = draw_extra[label](chest, rng) * chest.lungs
    return replace(chest, attenuation=chest.attenuation + extra)


def _patch(chest: Chest, rough: FloatImage, *, side: int, lateral: float, down: float, radius: float) -> FloatImage:
    """A patch with a soft edge made irregular by `rough`; place and size as shares of the lung's extent."""
    y = chest.apex + down * (chest.base - chest.apex)
    x = side * lateral * chest.half_width[int((y + SPAN) * UNIT), 0]
    squared = ((X - x) ** 2 + (0.8 * (Y - y)) ** 2) / radius**2 + 0.3 * rough
    patch: FloatImage = expit(4 * (1 - squared))
    return patch


def _ground_glass(chest: Chest, rng: np.random.Generator) -> FloatImage:
    clear = np.ones((CANVAS, CANVAS), np.float32)
    rough = smooth_noise(rng, 0.1)
    for side in SIDES:
        for _ in range(rng.integers(2, 4)):
            lateral, down, radius = rng.uniform((0.6, 0.45, 0.12), (0.92, 0.82, 0.22)).tolist()
            patch = _patch(chest, rough, side=side, lateral=lateral, down=down, radius=radius)
            clear *= 1 - np.float32(rng.uniform(0.6, 1.0)) * patch
    texture = 1 + 0.08 * rough + 0.12 * smooth_noise(rng, 0.025)
    return np.float32(rng.uniform(0.18, 0.32)) * (1 - clear) * texture


def _consolidation(chest: Chest, rng: np.random.Generator) -> FloatImage:
    lateral, down, radius = rng.uniform((0.4, 0.2, 0.18), (0.8, 0.8, 0.30)).tolist()
    rough = smooth_noise(rng, 0.12)
    patch = _patch(chest, rough, side=int(rng.choice(SIDES)), lateral=lateral, down=down, radius=radius)
    return np.float32(rng.uniform(0.28, 0.44)) * patch * (1 + 0.08 * smooth_noise(rng, 0.04))


def _streaks(chest: Chest, rng: np.random.Generator) -> FloatImage:
    """A net (the zero lines of smooth noise), short lines that leave the hila, and a little haze."""
    hilum = np.array([0.15, 0.5 * (chest.apex + chest.base)])
    distance = np.hypot((np.abs(X) - hilum[0] - 0.09) / 0.24, (Y - hilum[1] - 0.06) / 0.32)
    net = np.exp(-((smooth_noise(rng, 0.045) / 0.3) ** 2)) + np.exp(-((smooth_noise(rng, 0.07) / 0.25) ** 2))
    count = 140
    direction, reach = rng.normal(0, 0.8, count), np.abs(rng.normal(0.12, 0.13, count))
    start = hilum + reach[:, None] * _unit_vectors(direction) * (1, 1.2)
    heading, length = direction + rng.normal(0, 0.5, count), rng.uniform(0.04, 0.12, count)
    lines = np.stack([start, start + length[:, None] * _unit_vectors(heading)], axis=1)
    lines[::2, :, 0] *= -1  # every second line in the other lung
    layer = Layer()
    layer.lines(lines, rng.uniform(0.004, 0.011, count), np.full(count, 200))
    streaks: FloatImage = (
        np.float32(rng.uniform(0.15, 0.25)) * np.exp(-(distance**2)) * (0.35 + 0.6 * net + layer.image())
    )
    return streaks


def _unit_vectors(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
