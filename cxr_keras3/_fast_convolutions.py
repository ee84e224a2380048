"""Depthwise and 1x1 convolutions that are fast on a CPU under JAX.

XLA computes a depthwise convolution on a CPU some twenty times slower than memory allows, and its gradient
worse still (jax-ml/jax#23713, google/flax#4207, openxla/xla#34273). Written as shifted products and as a
matrix product, the depthwise and the 1x1 convolution have the same results up to rounding. `enable` puts these
in place of Keras's own; what they do not cover goes to Keras's function untouched. Dense windows are left
alone: as matrix products they are no faster. `benchmarks/convolutions.py` measures the gain.

As with every gradient written by hand in JAX, the depthwise convolution has derivatives of any order in reverse
mode, which is what Keras trains with, and none in forward mode (`jax.jvp`).
"""

import functools
import inspect
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from cxr_keras3.errors import UserError

SWITCH = "CXR_KERAS3_FAST_CONVOLUTIONS"

Pair = tuple[int, int]
Operator = Callable[..., jax.Array]

_PARAMETERS = ("inputs", "kernel", "strides", "padding", "data_format", "dilation_rate")
_LOGGER = logging.getLogger("cxr_keras3")
_originals: dict[str, Operator] = {}


def enable() -> bool:
    """Gives Keras the fast operators where it runs on JAX on a CPU; elsewhere Keras stays as it is.

    To be called before a model first runs: what JAX has compiled stays as it is. The environment variable
    `CXR_KERAS3_FAST_CONVOLUTIONS=0` turns it off. A Keras whose operators are not where they are expected is
    left as it is, with a warning in the log.

    Returns:
        Whether Keras now uses the fast operators.

    Raises:
        UserError: Where the environment variable is neither 0 nor 1.
    """
    switch = os.environ.get(SWITCH, "1")
    if switch not in {"0", "1"}:
        raise UserError(f"{SWITCH} must be 0 or 1, received {switch!r}; unset it for fast convolutions")
    if _originals:
        return True
    if switch == "0" or keras.config.backend() != "jax" or jax.default_backend() != "cpu":
        return False
    operators = _keras_operators()
    found = {name: getattr(operators, name, None) for name in _REPLACEMENTS}
    for name, operator in found.items():
        if operator is None or tuple(inspect.signature(operator).parameters) != _PARAMETERS:
            _LOGGER.warning(
                "fast convolutions are off and this CPU trains slowly: keras.src.backend.nn of Keras %s has no "
                "%s(%s)",
                keras.__version__,
                name,
                ", ".join(_PARAMETERS),
            )
            return False
    _originals.update(found)
    for name, replacement in _REPLACEMENTS.items():
        setattr(operators, name, replacement(found[name]))
    _LOGGER.info("fast convolutions are on (JAX on a CPU); %s=0 turns them off", SWITCH)
    return True


def disable() -> None:
    """Gives Keras its own operators back."""
    while _originals:
        setattr(_keras_operators(), *_originals.popitem())


def _keras_operators() -> Any:  # noqa: ANN401 -- Keras ships no types
    """The module whose functions `keras.ops` and the layers call; None where Keras has moved it."""
    return functools.reduce(lambda owner, name: getattr(owner, name, None), ("src", "backend", "nn"), keras)


def _replacement_of_conv(original: Operator) -> Operator:
    @functools.wraps(original)
    def conv(
        inputs: Any,  # noqa: ANN401 -- whatever Keras takes for a tensor
        kernel: Any,  # noqa: ANN401
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
    ) -> jax.Array:
        images, weights = keras.ops.convert_to_tensor(inputs), keras.ops.convert_to_tensor(kernel)
        if _is_covered(images, weights, padding, data_format) and weights.shape[:2] == (1, 1):
            return _pointwise(images, weights, _pair(strides))
        return original(inputs, kernel, strides, padding, data_format, dilation_rate)

    return conv


def _replacement_of_depthwise_conv(original: Operator) -> Operator:
    @functools.wraps(original)
    def depthwise_conv(
        inputs: Any,  # noqa: ANN401 -- whatever Keras takes for a tensor
        kernel: Any,  # noqa: ANN401
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
    ) -> jax.Array:
        images, weights = keras.ops.convert_to_tensor(inputs), keras.ops.convert_to_tensor(kernel)
        if _is_covered(images, weights, padding, data_format):
            return _depthwise(images, weights, _pair(strides), padding, _pair(dilation_rate))
        return original(inputs, kernel, strides, padding, data_format, dilation_rate)

    return depthwise_conv


# `separable_conv` calls these two through the same module and needs no replacement of its own.
_REPLACEMENTS = {"conv": _replacement_of_conv, "depthwise_conv": _replacement_of_depthwise_conv}


def _is_covered(images: jax.Array, kernel: jax.Array, padding: str, data_format: str | None) -> bool:
    return (
        (data_format or keras.config.image_data_format()) == "channels_last"
        and padding in {"valid", "same"}
        and images.ndim == kernel.ndim == 4
        and images.dtype == kernel.dtype
        and jnp.issubdtype(kernel.dtype, jnp.floating)
        and images.shape[3] == kernel.shape[2]  # else grouped
        # A height or width left open is a symbol here, and its padding cannot be computed.
        and all(isinstance(size, int) for size in images.shape[1:])
    )


def _pair(value: int | Sequence[int]) -> Pair:
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns


def _pointwise(images: jax.Array, kernel: jax.Array, strides: Pair) -> jax.Array:
    images = images[:, :: strides[0], :: strides[1]]
    # A plain matrix: contracting the last of four axes leaves a kernel gradient that is transposed first.
    flat = images.reshape(-1, images.shape[-1]) @ kernel[0, 0]
    return flat.reshape(*images.shape[:3], kernel.shape[-1])


@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)  # jit: one kernel where Keras runs eagerly
def _depthwise(images: jax.Array, kernel: jax.Array, strides: Pair, padding: str, dilation: Pair) -> jax.Array:
    *window, channels, multiplier = kernel.shape
    reach = [rate * (size - 1) + 1 for size, rate in zip(window, dilation, strict=True)]
    margins = lax.padtype_to_pads(images.shape[1:3], reach, strides, padding.upper())
    padded = jnp.pad(images, ((0, 0), *margins, (0, 0)))
    if multiplier > 1:
        padded = jnp.repeat(padded, multiplier, axis=-1)
    return _shifted_products(padded, kernel.reshape(*window, channels * multiplier), strides, dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted_products(images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair) -> jax.Array:
    """Depthwise convolution without padding.

    Args:
        images: (B, H, W, C), floating.
        kernel: (kh, kw, C), of the same type.
        strides: Steps between outputs, in rows and columns.
        dilation: Distance between the places of the window, in rows and columns.

    Returns:
        (B, H', W', C) of the same type; the sum is taken in float32 at least.
    """
    precise = jnp.promote_types(images.dtype, jnp.float32)
    reach = [rate * (size - 1) + 1 for size, rate in zip(kernel.shape[:2], dilation, strict=True)]
    height, width = lax.padtype_to_pads
