"""The graph that serves: uint8 canonical image in, everything a reader is told out, in one forward pass."""

import keras

from cxr_keras3.model import classifier
from cxr_keras3.serving.outputs import FEATURES, LOGITS, MAPS, PROBABILITIES


def build_graph(model: keras.Model, *, temperature: float) -> keras.Model:
    """Builds the serving model around a trained classifier, whose weights it shares.

    Args:
        model: A model from `classifier.build_classifier`.
        temperature: What logits are divided by, see `cxr_keras3.run.calibration`; 1 where uncalibrated.

    Returns:
        A model from uint8 (B, 299, 299, 1) to a dictionary of float32: logits and probabilities (B, classes),
        activation_maps (B, h, w, classes) as `classifier.explainer` defines them, features (B, C).
    """
    logits, maps = classifier.explainer(model).outputs
    outputs = {
        LOGITS: logits,
        PROBABILITIES: keras.ops.softmax(logits / temperature, axis=-1),
        MAPS: maps,
        FEATURES: model.get_layer(classifier.POOLING).output,
    }
    return keras.Model(model.input, outputs, name="serving")
