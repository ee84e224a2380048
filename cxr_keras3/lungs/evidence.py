"""How much of what speaks for an answer lies in the lungs."""

import numpy as np
import numpy.typing as npt
from PIL import Image

LEAST_INSIDE = 0.5
"""Share of the evidence below which most of it lies outside the lungs."""


def share_inside(activation_map: npt.NDArray[np.float32], lungs: npt.NDArray[np.bool_]) -> float | None:
    """The share of a class's positive activation that lies in the lungs.

    Args:
        activation_map: float (h, w), what each place adds to the class's logit; enlarged linearly.
        lungs: bool (H, W).

    Returns:
        0..1; None where no place speaks for the class, or there are no lungs.
    """
    height, width = lungs.shape
    heat = Image.fromarray(np.maximum(activation_map, 0.0).astype(np.float32))
    enlarged = np.asarray(heat.resize((width, height), Image.Resampling.BILINEAR))
    total = float(enlarged.sum())
    return float(enlarged[lungs].sum()) / total if total > 0 and lungs.any() else None
