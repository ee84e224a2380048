"""Convolutions that are fast on a CPU under JAX.

XLA computes a depthwise convolution on a CPU some twenty times slower than memory allows, and its gradient
worse still (jax-ml/jax#23713, google/flax#4207, openxla/xla#34273). Here three kinds of convolution are written
as other operations, with the same results up to rounding: depthwise and, as in a network's first layer, of few
input channels as sums of shifted products; 1x1 as a matrix product. `enable` puts them in place of Keras's own,
and what they do not cover goes to Keras's function untouched: other dense windows are no faster as products of
any kind. `benchmarks/convolutions.py` measures the gain.

As with every gradient written by hand in JAX, there are derivatives of any order in reverse mode, which is what
Keras trains with, and none in forward mode (`jax.jvp`).
"""

import functools
import inspect
import logging
import math
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from cxr_keras3.errors import UserError

SWITCH = "CXR_KERAS3_FAST_CONVOLUTIONS"

Pair = tuple[int, int]
"""Rows and columns."""
Operator = Callable[..., jax.Array]

_PARAMETERS = ("inputs", "kernel", "strides", "padding", "data_format", "dilation_rate")
_DTYPES = frozenset({"float32", "bfloat16", "float16"})
# A 3x3 window on up to four channels, and filters enough for the first layer of a small network: beyond either,
# XLA's own convolution catches up.
_FEW_WEIGHTS_A_FILTER = 36
_FEW_FILTERS = 32
_LOGGER = logging.getLogger("cxr_keras3")
_originals: dict[str, Operator] = {}


def enable() -> bool:
    """Gives Keras the fast convolutions where it runs on JAX on a CPU; elsewhere Keras stays as it is.

    To be called before a model first runs: what JAX has compiled stays as it is. The environment variable
    `CXR_KERAS3_FAST_CONVOLUTIONS=0` turns it off. A Keras whose operators are not where they are expected is
    left as it is, with a warning in the log.

    Returns:
        Whether Keras now uses the fast convolutions.

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
    module = _keras_operators()
    for name in _CHOICES:
        function = getattr(module, name, None)
        if function is None or tuple(inspect.signature(function).parameters) != _PARAMETERS:
            _LOGGER.warning(
                "fast convolutions are off and training on this CPU is slow: Keras %s has no %s(%s) in "
                "keras.src.backend.nn",
                keras.__version__,
                name,
                ", ".join(_PARAMETERS),
            )
            return False
    for name, choose in _CHOICES.items():
        _originals[name] = getattr(module, name)
        setattr(module, name, _replacement(_originals[name], choose))
    _LOGGER.info("fast convolutions are on (JAX on a CPU); %s=0 turns them off", SWITCH)
    return True


def disable() -> None:
    """Gives Keras its own operators back."""
    while _originals:
        setattr(_keras_operators(), *_originals.popitem())


def _keras_operators() -> Any:  # noqa: ANN401 -- Keras ships no types
    """The module whose functions `keras.ops` and the layers call; None where Keras has moved it."""
    return functools.reduce(lambda owner, name: getattr(owner, name, None), ("src", "backend", "nn"), keras)


def _replacement(original: Operator, choose: Callable[[jax.Array], Operator | None]) -> Operator:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def replacement(*arguments: object, **named: object) -> jax.Array:
        call = signature.bind(*arguments, **named)
        call.apply_defaults()
        inputs, weights, strides, padding, data_format, dilation = call.args
        images, kernel = keras.ops.convert_to_tensor(inputs), keras.ops.convert_to_tensor(weights)
        covered = _is_covered(images, kernel, padding, data_format, dilation)
        if covered and (fast := choose(kernel)) is not None:
            return fast(images, kernel, _pair(strides), padding, _pair(dilation))
        return original(*arguments, **named)

    return replacement


def _pair(value: int | Sequence[int]) -> Pair:
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns


def _spans(kernel: jax.Array, dilation: Pair) -> Pair:
    """How many rows and columns of an image the window covers."""
    return dilation[0] * (kernel.shape[0] - 1) + 1, dilation[1] * (kernel.shape[1] - 1) + 1


def _is_covered(
    images: jax.Array,
    kernel: jax.Array,
    padding: str,
    data_format: str | None,
    dilation: int | Sequence[int],
) -> bool:
    return (
        (data_format or keras.config.image_data_format()) == "channels_last"
        and images.ndim == kernel.ndim == 4
        and images.dtype == kernel.dtype
        and kernel.dtype.name in _DTYPES
        and images.shape[3] == kernel.shape[2]  # else there are groups
        # The batch may be a symbol, as it is where Keras infers shapes; a height or width may not.
        and all(isinstance(size, int) for size in images.shape[1:])
        and padding in {"valid", "same"}
        and (padding == "same" or all(map(operator.le, _spans(kernel, _pair(dilation)), images.shape[1:3])))
    )


def _choose_conv(kernel: jax.Array) -> Operator | None:
    if kernel.shape[:2] == (1, 1):
        return _pointwise
    if math.prod(kernel.shape[:3]) <= _FEW_WEIGHTS_A_FILTER and kernel.shape[3] <= _FEW_FILTERS:
        return _few_channels
    return None


def _pointwise(images: jax.Array, kernel: jax.Array, strides: Pair, _padding: str, _dilation: Pair) -> jax.Array:
    images = images[:, :: strides[0], :: strides[1]]
    # As one plain matrix: with four axes JAX would transpose both operands of the kernel's gradient.
    flat = images.reshape(-1, images.shape[-1]) @ kernel[0, 0]
    return flat.reshape(*images.shape[:3], kernel.shape[-1])


def _pad(images: jax.Array, kernel: jax.Array, strides: Pair, padding: str, dilation: Pair) -> jax.Array:
    margins = lax.padtype_to_pads(images.shape[1:3], _spans(kernel, dilation), strides, padding.upper())
    return jnp.pad(images, ((0, 0), *margins, (0, 0)))


# jit: in eager code, too, one compiled call.
@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)
def _few_channels(images: jax.Array, kernel: jax.Array, strides: Pair, padding: str, dilation: Pair) -> jax.Array:
    return _dense(_pad(images, kernel, strides, padding, dilation), kernel, strides, dilation)


@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)
def _depthwise(images: jax.Array, kernel: jax.Array, strides: Pair, padding: str, dilation: Pair) -> jax.Array:
    padded = _pad(images, kernel, strides, padding, dilation)
    *window, channels, multiplier = kernel.shape
    if multiplier > 1:
        padded = jnp.repeat(padded, multiplier, axis=-1)
    return _shifted_products(padded, kernel.reshape(*window, channels * multiplier), strides, dilation)


_CHOICES: dict[str, Callable[[jax.Array], Operator | None]] = {
    "conv": _choose_conv,
    "depthwise_conv": lambda _: _depthwise,
}  # `separable_conv` calls both


def _taps(images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair) -> Iterator[tuple[jax.Array, Pair]]:
    """What each place of the window meets, (B, H', W', C) in float32, and the place; without padding."""
    spans = _spans(kernel, dilation)
    for place in np.ndindex(*kernel.shape[:2]):
        rows, columns = (
            slice(index * rate, whole - span + index * rate + 1, stride)
            for index, rate, whole, span, stride in zip(place, dilation, images.shape[1:3], spans, strides, strict=True)
        )
        yield images[:, rows, columns].astype(jnp.float32), place


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _dense(images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair) -> jax.Array:
    """Convolution without padding: images (B, H, W, C), kernel (kh, kw, C, F)."""
    weights = kernel.astype(jnp.float32)
    products = [
        tap[..., channel, None] * weights[*place, channel]
        for tap, place in _taps(images, kernel, strides, dilation)
        for channel in range(kernel.shape[2])
    ]
    return functools.reduce(operator.add, products).astype(images.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted_products(images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair) -> jax.Array:
    """Depthwise convolution without padding: images (B, H, W, C), kernel (kh, kw, C)."""
    weights = kernel.astype(jnp.float32)
    products = [tap * weights[place] for tap, place in _taps(images, kernel, strides, dilation)]
    return functools.reduce(operator.add, products).astype(images.dtype)


def _dense_backward(
    strides: Pair, dilation: Pair, operands: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """XLA's own: with few channels only the forward pass is slow."""
    convolution = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding="VALID",
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return jax.vjp(convolution, *operands)[1](gradient)


def _depthwise_backward(
    strides: Pair, dilation: Pair, operands: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = operands

    # The images' gradient: the outputs' gradients set apart by zeros, under the kernel turned round.
    edges = [
        (span - 1, whole - (outputs - 1) * stride - 1, stride - 1)
        for span, whole, outputs, stride in zip(
            _spans(kernel, dilation), images.shape[1:3], gradient.shape[1:3], strides, strict=True
        )
    ]
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    images_gradient = _shifted_products(spread, kernel[::-1, ::-1], (1, 1), dilation)

    # The kernel's: one reduction with an output for each place, which reads the operands once. A reduction
    # for each place takes up to ten times as long.
    factor = gradient.astype(jnp.float32)
    products = [tap * factor for tap, _ in _taps(images, kernel, strides, dilation)]
    sums = lax.reduce(
        products,
        [jnp.zeros((), jnp.float32)] * len(products),
        lambda left, right: list(map(operator.add, left, right)),
        (1, 2),
    )
    kernel_gradient = jnp.stack(sums).sum(axis=1).reshape(kernel.shape).astype(kernel.dtype)
    return images_gradient, kernel_gradient


_dense.defvjp(lambda *arguments: (_dense(*arguments), arguments[:2]), _dense_backward)
_shifted_products.defvjp(lambda *arguments: (_shifted_products(*arguments), arguments[:2]), _depthwise_backward)
