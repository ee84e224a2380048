"""What every runtime gives back for a batch of images, under the names that the exported graphs use."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PROBABILITIES, MAPS, FEATURES = "probabilities", "activation_maps", "features"


@dataclass(frozen=True, eq=False)
class Outputs:
    """The serving graph's outputs for B images.

    Attributes:
        probabilities: float32 (B, classes), calibrated where the run is; rows sum to 1.
        activation_maps: float32 (B, h, w, classes), in logits: the mean over the pixels plus the class's bias
            is the class's logit.
        features: float32 (B, C), the pooled features.
    """

    probabilities: npt.NDArray[np.float32]
    activation_maps: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
