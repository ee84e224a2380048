"""The segmenter: a U-Net (Ronneberger, Fischer and Brox, MICCAI 2015) on the features of a MobileNet.

Takes the canonical image, as the classifier does, and gives one logit a pixel for each lung. The decoder is narrow and
of separable convolutions, so that outlining lungs costs no more than classifying a film.
"""

import keras

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.lungs.sides import LUNGS, SIZE
from cxr_keras3.model import backbone_table, backbones

BACKBONE = "mobilenet_025"
_SKIPS = ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu")  # strides 2, 4, 8, 16
_DEEPEST = "conv_pw_13_relu"  # stride 32
_WIDTHS = (16, 24, 32, 48)  # of the decoder, for the same strides


def build_segmenter(*, weights: str, seed: int) -> keras.Model:
    """Builds a segmenter.

    Args:
        weights: The backbone's initial weights, see `backbones.build_backbone`.
        seed: Decides the decoder's initial weights.

    Returns:
        A model from uint8 (B, 299, 299, 1), grey, 0..255, to float32 logits (B, 256, 256, 2), see `sides.LUNGS`.
    """
    backbone = backbones.build_backbone(BACKBONE, weights=weights, image_size=SIZE)
    names = (*_SKIPS, _DEEPEST)
    features = keras.Model(backbone.input, [backbone.get_layer(name).output for name in names], name="backbone")
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8", name="image")
    *skips, found = features(_prepared(inputs))
    seeds = iter(range(seed, seed + 100))
    for skip, width in zip(reversed(skips), reversed(_WIDTHS), strict=True):
        found = keras.layers.UpSampling2D(interpolation="bilinear")(found)
        found = keras.layers.Concatenate()([found, skip])
        for _ in range(2):
            found = _convolved(found, width, seed=next(seeds))
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = keras.layers.Conv2D(len(LUNGS), 1, kernel_initializer=start, name="half_size_logits")(found)
    outputs = keras.layers.UpSampling2D(interpolation="bilinear", name="logits")(logits)
    return keras.Model(inputs, outputs, name="segmenter")


def _prepared(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """The backbone's input: resized, three equal channels, its range of values."""
    grey = keras.ops.image.resize(
        keras.ops.cast(inputs, "float32"), (SIZE, SIZE), interpolation="bilinear", data_format="channels_last"
    )
    rescaling = backbone_table.find(BACKBONE).rescaling or (1.0, 0.0)
    return keras.layers.Rescaling(*rescaling)(keras.layers.Concatenate()([grey, grey, grey]))


def _convolved(inputs: keras.KerasTensor, width: int, *, seed: int) -> keras.KerasTensor:
    """A separable 3x3 convolution as a depthwise one and one of 1x1, which are fast on a CPU under JAX too."""
    first, second = keras.initializers.HeUniform(seed=seed), keras.initializers.HeUniform(seed=seed + 1000)
    spread = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depthwise_initializer=first)(inputs)
    mixed = keras.layers.Conv2D(width, 1, use_bias=False, kernel_initializer=second)(spread)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(mixed))
