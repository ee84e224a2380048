"""What every runtime gives back for a batch of images, under the names that the exported graphs use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

NAMES = LOGITS, PROBABILITIES, MAPS, FEATURES = "logits", "probabilities", "activation_maps", "features"


@dataclass(frozen=True, eq=False)
class Outputs:
    """The serving graph's outputs for B images.

    Attributes:
        logits: float32 (B, classes), before any calibration.
        probabilities: float32 (B, classes), calibrated where the run is; rows sum to 1.
        activation_maps: float32 (B, h, w, classes), in logits: the mean over the pixels plus the class's bias
            is the class's logit.
        features: float32 (B, C), the pooled features.
    """

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    activation_maps: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]

    @classmethod
    def named(cls, found: Mapping[str, Any]) -> Self:
        """Of arrays or tensors, of any framework, by the names that graphs use."""
        return cls(*(np.asarray(found[name]) for name in NAMES))

    @classmethod
    def joined(cls, parts: Sequence[Self], count: int) -> Self:
        """One after the other, the first `count` images of them."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts])[:count] for name in NAMES))
