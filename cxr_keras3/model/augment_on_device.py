"""Augmentation inside the compiled step, for GPU and TPU, where drawing it on the host would be the brake."""

import keras
from keras import ops

from cxr_keras3.images import IMAGE_SIZE

CHANGES = 13  # numbers that say what is done to an image, see `cxr_keras3.images.augment.Change`


def training_model(model: keras.Model, *, seed: int) -> keras.Model:
    """A model that augments its images itself; it shares the weights of the one it is made from.

    Args:
        model: From uint8 (B, 299, 299, 1) to logits.
        seed: Decides the noise.

    Returns:
        A model from [uint8 images (B, 299, 299, 1), float32 changes (B, 13), see `augment.as_row`] to logits.
    """
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8", name="image")
    changes = keras.Input((CHANGES,), name="changes")
    return keras.Model([images, changes], model(Augmentation(seed=seed)([images, changes])))


class Augmentation(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Applies changes to images: uint8 (B, H, W, 1) and float32 (B, 13) to uint8 (B, H, W, 1)."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(dtype="float32")  # grey levels need more than bfloat16's eight bits
        self._noise = keras.random.SeedGenerator(seed)

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Changes the images as `augment.augment` would, but for rounding and the noise."""
        images, changes = inputs
        parts = ops.split(changes, CHANGES, axis=-1)  # each (B, 1)
        angle, zoom, right, down, contrast, brightness, gamma, noise, border, wide, high, corner, fill = parts
        grey = ops.round(_regraded(ops.cast(images, "float32"), contrast, brightness, gamma))
        moved = _moved(grey, angle, zoom, right, down)
        noisy = moved + _each(noise) * keras.random.normal(ops.shape(moved), seed=self._noise)
        level = ops.clip(ops.round(noisy), 0.0, 255.0)
        erased = _erased_places(ops.shape(images)[1:3], border, wide, high, corner)
        return ops.cast(ops.where(erased, _each(fill), level), "uint8")


def _each(values: keras.KerasTensor) -> keras.KerasTensor:
    """(B, 1) to (B, 1, 1, 1), one value an image."""
    return values[:, :, None, None]


def _regraded(
    grey: keras.KerasTensor, contrast: keras.KerasTensor, brightness: keras.KerasTensor, gamma: keras.KerasTensor
) -> keras.KerasTensor:
    mean = ops.mean(grey, axis=(1, 2, 3), keepdims=True)
    levels = (grey - mean) * _each(contrast) + mean + _each(brightness)
    return 255.0 * ops.power(ops.clip(levels, 0.0, 255.0) / 255.0, _each(gamma))


def _moved(
    grey: keras.KerasTensor,
    angle: keras.KerasTensor,
    zoom: keras.KerasTensor,
    right: keras.KerasTensor,
    down: keras.KerasTensor,
) -> keras.KerasTensor:
    height, width = grey.shape[1:3]
    cosine, sine = ops.cos(angle) / zoom, ops.sin(angle) / zoom
    # Keras counts from the middle of the first pixel, Pillow from its edge: hence sizes less one.
    x, y = (width - 1) / 2, (height - 1) / 2
    nothing = ops.zeros_like(angle)
    rows = [
        cosine, -sine, x - cosine * x + sine * y + right * width,
        sine, cosine, y - sine * x - cosine * y + down * height,
        nothing, nothing,
    ]  # fmt: skip
    return ops.image.affine_transform(
        grey,
        ops.concatenate(rows, axis=-1),
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        data_format="channels_last",
    )


def _erased_places(
    size: tuple[int, int],
    border: keras.KerasTensor,
    wide: keras.KerasTensor,
    high: keras.KerasTensor,
    corner: keras.KerasTensor,
) -> keras.KerasTensor:
    """Boolean (B, H, W, 1), true where frame or corner are erased."""
    height, width = size
    row = ops.reshape(ops.arange(height, dtype="float32"), (1, height, 1, 1))
    column = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, width, 1))

    def near(
        place: keras.KerasTensor, length: int, share: keras.KerasTensor, *, end: keras.KerasTensor | bool
    ) -> object:
        """Whether a place is within a share of the side from its start, or from its end."""
        reach = ops.round(_each(share) * length)
        return ops.where(end, place >= length - reach, place < reach)

    frame = ops.logical_or(
        ops.logical_or(near(row, height, border, end=False), near(row, height, border, end=True)),
        ops.logical_or(near(column, width, border, end=False), near(column, width, border, end=True)),
    )
    corner = _each(corner)
    lower, at_right = corner >= 2, ops.equal(ops.mod(corner, 2), 1)
    box = ops.logical_and(near(row, height, high, end=lower), near(column, width, wide, end=at_right))
    return ops.logical_or(frame, box)
