"""Compares an exported graph with the Keras model, on the same images."""

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.answers import answer
from cxr_keras3.run.folder import Run
from cxr_keras3.run.parity import Agreement
from cxr_keras3.serving.outputs import Outputs


def compare(expected: Outputs, found: Outputs, run: Run) -> Agreement:
    """Compares the outputs for the same images, those of Keras first.

    Raises:
        UserError: Where an output has another shape.
    """
    difference = np.abs(expected.probabilities - found.probabilities)
    flag = None
    if run.calibration is not None:
        ours, theirs = (np.asarray(answer(run, each.logits, each.features).flags) for each in (expected, found))
        flag = float(np.mean(ours == theirs))
    return Agreement(
        top1=float(np.mean(expected.logits.argmax(axis=1) == found.logits.argmax(axis=1))),
        flag=flag,
        probabilities_largest=float(difference.max()),
        probabilities_mean=float(difference.mean()),
        logits_largest=_relative(expected.logits, found.logits),
        features_largest=_relative(expected.features, found.features),
        activation_maps_largest=_relative(expected.activation_maps, found.activation_maps),
    )


def _relative(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    if expected.shape != found.shape:
        raise UserError(f"an export must give outputs of shape {expected.shape}, this one gives {found.shape}")
    return float(np.abs(expected - found).max() / max(float(np.ptp(expected)), 1e-12))
