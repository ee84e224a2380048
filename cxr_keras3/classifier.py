"""The classifier: uint8 canonical image in, one logit a class out, everything between in one graph.

Backbone, global average pooling, dropout, one linear layer. With nothing but an average between the
feature map and a linear layer, the class activation map is exact: the map times the layer's weights
(Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016).
"""

import keras
import numpy as np

from cxr_keras3 import backbone_table, backbones
from cxr_keras3.images import IMAGE_SIZE

PREPROCESSING, BACKBONE, POOLING, DROPOUT, LOGITS = (
    "preprocessing",
    "backbone",
    "pooled_features",
    "dropout",
    "logits",
)


def build(
    backbone_name: str, *, weights: str, image_size: int, class_count: int, dropout: float, seed: int
) -> keras.Model:
    """Builds a classifier on a backbone.

    Only stock Keras layers surround the backbone, so `keras.models.load_model` reads the saved file
    without this package.

    Args:
        backbone_name: A key of `cxr_keras3.backbone_table.BACKBONES`.
        weights: The backbone's initial weights, see `backbones.build`.
        image_size: Height and width in pixels that the backbone sees.
        class_count: Number of logits.
        dropout: Share of the pooled features dropped in training.
        seed: Decides the linear layer's initial weights and the dropout.

    Returns:
        A model from uint8 (B, 299, 299, 1), grey, 0..255, to float32 logits (B, class_count).
    """
    backbone = backbones.build(backbone_name, weights=weights, image_size=image_size)
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8", name="image")
    features = backbone(_preprocessing(backbone_name, image_size)(inputs))
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLING)(features)
    dropped = keras.layers.Dropout(dropout, seed=seed, name=DROPOUT)(pooled)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(class_count, kernel_initializer=initializer, name=LOGITS)(dropped)
    return keras.Model(inputs, logits, name="classifier")


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
