"""The classifier: uint8 canonical image in, one logit a class out, everything between in one graph.

Backbone, global average pooling, dropout, one linear layer. With nothing but an average between the
feature map and a linear layer, the class activation map is exact: the map times the layer's weights
(Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016).
"""

from collections.abc import Sequence

import keras
import numpy as np

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.model import backbone_table, backbones

PREPROCESSING, BACKBONE, POOLING, DROPOUT, LOGITS = (
    "preprocessing",
    "backbone",
    "pooled_features",
    "dropout",
    "logits",
)


def build_classifier(
    backbone_name: str, *, weights: str, image_size: int, class_count: int, dropout: float, seed: int
) -> keras.Model:
    """Builds a classifier on a backbone.

    Only stock Keras layers surround the backbone, so `keras.models.load_model` reads the saved file
    without this package.

    Args:
        backbone_name: A key of `cxr_keras3.model.backbone_table.BACKBONES`.
        weights: The backbone's initial weights, see `backbones.build_backbone`.
        image_size: Height and width in pixels that the backbone sees.
        class_count: Number of logits.
        dropout: Share of the pooled features dropped in training.
        seed: Decides the linear layer's initial weights and the dropout.

    Returns:
        A model from uint8 (B, 299, 299, 1), grey, 0..255, to float32 logits (B, class_count).
    """
    backbone = backbones.build_backbone(backbone_name, weights=weights, image_size=image_size)
    preprocessing = _preprocessing(backbone_name, image_size)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    linear = keras.layers.Dense(class_count, kernel_initializer=initializer, name=LOGITS)
    return _assembled(preprocessing, backbone, keras.layers.Dropout(dropout, seed=seed, name=DROPOUT), linear)


def mean(members: Sequence[keras.Model]) -> keras.Model:
    """One classifier whose logits are the mean of those of several, and which shares their backbones' weights.

    Their feature maps are put side by side and their linear layers into one, so that the outcome is a classifier like
    any other, with exact class activation maps: the mean of the members' (a deep ensemble, Lakshminarayanan et al.,
    "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017, but of logits).

    Args:
        members: Classifiers from `build`, at least one, all of one backbone and image size.
    """
    first = members[0]
    inputs = keras.Input(first.get_layer(BACKBONE).input_shape[1:])
    each = [member.get_layer(BACKBONE) for member in members]
    renamed = [keras.Model(one.input, one.output, name=f"member_{number}") for number, one in enumerate(each)]
    side_by_side = keras.layers.Concatenate()([one(inputs) for one in renamed])
    kernels, biases = zip(*(member.get_layer(LOGITS).get_weights() for member in members), strict=True)
    linear = keras.layers.Dense(len(biases[0]), name=LOGITS)
    outcome = _assembled(
        first.get_layer(PREPROCESSING),
        keras.Model(inputs, side_by_side, name=BACKBONE),
        keras.layers.Dropout(0.0, name=DROPOUT),
        linear,
    )
    linear.set_weights([np.concatenate(kernels) / len(members), np.mean(biases, axis=0)])
    return outcome


def _assembled(
    preprocessing: keras.Model, backbone: keras.Model, dropout: keras.Layer, linear: keras.Layer
) -> keras.Model:
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8", name="image")
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLING)(backbone(preprocessing(inputs)))
    return keras.Model(inputs, linear(dropout(pooled)), name="classifier")


def _preprocessing(backbone_name: str, image_size: int) -> keras.Model:
    """Canonical image to the backbone's input: resized, three equal channels, its range of values."""
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8")
    # Not the Resizing layer: unless told otherwise it sets itself and all that follows to training mode,
    # so that merely calling the model would drop features and move BatchNorm's averages.
    grey = keras.ops.image.resize(
        keras.ops.cast(inputs, "float32"),
        (image_size, image_size),
        interpolation="bilinear",
        data_format="channels_last",
    )
    outputs = keras.layers.Concatenate()([grey, grey, grey])
    rescaling = backbone_table.find(backbone_name).rescaling
    if rescaling is not None:
        outputs = keras.layers.Rescaling(*rescaling)(outputs)
    return keras.Model(inputs, outputs, name=PREPROCESSING)


def feature_extractor(model: keras.Model) -> keras.Model:
    """The part up to the pooled features: uint8 (B, 299, 299, 1) to float32 (B, C). Shares the weights."""
    return keras.Model(model.input, model.get_layer(POOLING).output)


def head(model: keras.Model) -> keras.Model:
    """The part after the pooled features: float32 (B, C) to logits. Shares the weights."""
    inputs = keras.Input(model.get_layer(POOLING).output.shape[1:])
    return keras.Model(inputs, _logits_of_pooled(model, inputs), name="head")


def divide(model: keras.Model, boundary: keras.Layer) -> tuple[keras.Model, keras.Model]:
    """Divides a classifier inside its backbone, at a layer that all later ones depend on alone.

    Args:
        model: From `build`.
        boundary: A layer of its backbone, see `backbones.boundary`.

    Returns:
        The part up to the boundary, from uint8 (B, 299, 299, 1), and the part after it, to logits. Both share
        the model's weights.
    """
    backbone = model.get_layer(BACKBONE)
    images = keras.Input(model.input_shape[1:], dtype="uint8")
    before = keras.Model(backbone.input, boundary.output)(model.get_layer(PREPROCESSING)(images))
    inputs = keras.Input(boundary.output.shape[1:])
    after = keras.Model(boundary.output, backbone.output)(inputs)
    logits = _logits_of_pooled(model, model.get_layer(POOLING)(after))
    return keras.Model(images, before, name="frozen"), keras.Model(inputs, logits, name="tail")


def _logits_of_pooled(model: keras.Model, pooled: keras.KerasTensor) -> keras.KerasTensor:
    return model.get_layer(LOGITS)(model.get_layer(DROPOUT)(pooled))


def explainer(model: keras.Model) -> keras.Model:
    """Logits and class activation maps from one forward pass. Shares the model's weights as they are now.

    Returns:
        A model from uint8 (B, 299, 299, 1) to a list of logits (B, classes) and maps (B, h, w, classes),
        both float32. The mean of a map over its pixels plus the class's bias is the class's logit.
    """
    linear = model.get_layer(LOGITS)
    feature_map = model.get_layer(POOLING).input
    # A layer, not a constant: predicting on JAX gives away the buffer of a constant made from a variable, and
    # the exporter to ONNX turns a large constant into a second input.
    kernel = keras.ops.convert_to_numpy(linear.kernel.value)
    weigh = keras.layers.Conv2D(
        kernel.shape[1], 1, use_bias=False, data_format="channels_last", dtype="float32", name="activation_maps"
    )
    maps = weigh(feature_map)
    weigh.set_weights([kernel[np.newaxis, np.newaxis]])
    return keras.Model(model.input, [model.output, maps])
