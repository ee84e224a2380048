"""Depthwise and 1x1 convolutions that are fast on a CPU under JAX.

XLA computes a depthwise convolution on a CPU some twenty times slower than memory allows, and its gradient
worse still (jax-ml/jax#23713, google/flax#4207, openxla/xla#34273). Written as shifted products, it has the
same results up to rounding, and so has the 1x1 convolution as a matrix product. `enable` puts the two in place
of Keras's own; what they do not cover goes to Keras's function untouched. Dense windows are left alone: as
matrix products they are no faster. `benchmarks/convolutions.py` measures the gain.

As with every gradient written by hand in JAX, the depthwise convolution has derivatives of any order in
reverse mode, which is what Keras trains with, and none in forward mode (`jax.jvp`).
"""

import functools
import inspect
import logging
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from cxr_keras3.base.errors import UserError

SWITCH = "CXR_KERAS3_FAST_CONVOLUTIONS"

Pair = tuple[int, int]
"""Rows and columns."""
Operator = Callable[..., jax.Array]

_PARAMETERS = ("inputs", "kernel", "strides", "padding", "data_format", "dilation_rate")
_DTYPES = frozenset({"float32", "bfloat16", "float16"})
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
    module = _keras_operators()
    for name in _FAST:
        function = getattr(module, name, None)
        if function is None or tuple(inspect.signature(function).parameters) != _PARAMETERS:
            missing = f"{name}({', '.join(_PARAMETERS)})"
            _LOGGER.warning(
                "fast convolutions are off and training on this CPU is slow: Keras %s has no %s in "
                "keras.src.backend.nn",
                keras.__version__,
                missing,
            )
            return False
    for name in _FAST:
        _originals[name] = getattr(module, name)
        setattr(module, name, _replacement(name))
    _LOGGER.info("fast convolutions are on (JAX on a CPU); %s=0 turns them off", SWITCH)
    return True


def disable() -> None:
    """Gives Keras its own operators back."""
    while _originals:
        setattr(_keras_operators(), *_originals.popitem())


def _keras_operators() -> Any:  # noqa: ANN401 -- Keras ships no types
    """The module whose functions `keras.ops` and the layers call; None where Keras has moved it."""
    return functools.reduce(lambda owner, name: getattr(owner, name, None), ("src", "backend", "nn"), keras)


def _replacement(name: str) -> Operator:
    original, fast = _originals[name], _FAST[name]
    signature = inspect.signature(original)

    @functools.wraps(original)
    def replacement(*arguments: object, **named: object) -> jax.Array:
        call = signature.bind(*arguments, **named)
        call.apply_defaults()
        inputs, weights, strides, padding, data_format, dilation = call.args
        images, kernel = keras.ops.convert_to_tensor(inputs), keras.ops.convert_to_tensor(weights)
        if _is_covered(images, kernel, padding, data_format, dilation, only_1x1=fast is _pointwise):
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
    *,
    only_1x1: bool,
) -> bool:
    return (
        (data_format or keras.config.image_data_format()) == "channels_last"
        and images.ndim == kernel.ndim == 4
        and images.dtype == kernel.dtype
        and kernel.dtype.name in _DTYPES
        and images.shape[3] == kernel.shape[2]  # else there are groups
        and (kernel.shape[:2] == (1, 1) or not only_1x1)
        # The batch may be a symbol, as it is where Keras infers shapes; a height or width may not.
        and all(isinstance(size, int) for size in images.shape[1:])
        and padding in {"valid", "same"}
        and (padding == "same" or all(map(operator.le, _spans(kernel, _pair(dilation)), images.shape[1:3])))
    )


def _pointwise(images: jax.Array, kernel: jax.Array, strides: Pair, _padding: str, _dilation: Pair) -> jax.Array:
    images = images[:, :: strides[0], :: strides[1]]
    # As one plain matrix: with four axes JAX would transpose both operands of the kernel's gradient.
    flat = images.reshape(-1, images.shape[-1]) @ kernel[0, 0]
    return flat.reshape(*images.shape[:3], kernel.shape[-1])


@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)  # one compiled call in eager code as well
def _depthwise(images: jax.Array, kernel: jax.Array, strides: Pair, padding: str, dilation: Pair) -> jax.Array:
    height, width, channels, multiplier = kernel.shape
    margins = lax.padtype_to_pads(images.shape[1:3], _spans(kernel, dilation), strides, padding.upper())
    padded = jnp.pad(images, ((0, 0), *margins, (0, 0)))
    if multiplier > 1:
        padded = jnp.repeat(padded, multiplier, axis=-1)
    return _shifted_products(padded, kernel.reshape(height, width, channels * multiplier), strides, dilation)


_FAST: dict[str, Operator] = {"conv": _pointwise, "depthwise_conv": _depthwise}  # `separable_conv` calls both


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted_products(images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair) -> jax.Array:
    """Depthwise convolution without padding, summed in float32.

    Args:
        images: (B, H, W, C), floating.
        kernel: (kh, kw, C), of the same type.
        strides: Distance between outputs.
        dilation: Distance between neighbours in the window.

    Returns:
        (B, H', W', C), of the same type.
    """
    size = [
        (whole - span) // stride + 1
        for whole, span, stride in zip(images.shape[1:3], _spans(kernel, dilation), strides, strict=True)
    ]
    weights = kernel.astype(jnp.float32)
    products = [tap * weights[place] for place, tap in _taps(images, kernel, size, strides, dilation)]
    return functools.reduce(operator.add, products).astype(images.dtype)


def _taps(
    images: jax.Array, kernel: jax.Array, size: Sequence[int], strides: Pair, dilation: Pair
) -> Iterator[tuple[Pair, jax.Array]]:
    """Each place of the window, and the (B, *size, C) pixels that it meets."""
    rows, columns = ((outputs - 1) * stride + 1 for outputs, stride in zip(size, strides, strict=True))
    for i, j in np.ndindex(*kernel.shape[:2]):
        top, left = i * dilation[0], j * dilation[1]
        tap = images[:, top : top + rows : strides[0], left : left + columns : strides[1]]
        yield (i, j), tap.astype(jnp.float32)


def _forward(
    images: jax.Array, kernel: jax.Array, strides: Pair, dilation: Pair
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _shifted_products(images, kernel, strides, dilation), (images, kernel)


def _backward(
    strides: Pair, dilation: Pair, operands: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = operands
    size = gradient.shape[1:3]

    # The images' gradient: the outputs' gradients set apart by zeros, under the kernel turned round.
    edges = [
        (span - 1, whole - (outputs - 1) * stride - 1, stride - 1)
        for span, whole, outputs, stride in zip(_spans(kernel, dilation), images.shape[1:3], size, strides, strict=True)
    ]
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    images_gradient = _shifted_products(spread, kernel[::-1, ::-1], (1, 1), dilation)

    # The kernel's: one reduction with an output for each place, which reads the operands once. A reduction
    # for each place takes up to ten times as long.
    factor = gradient.astype(jnp.float32)
    products = [tap * factor for _, tap in _taps(images, kernel, size, strides, dilation)]
    sums = lax.reduce(
        products,
        [jnp.zeros((), jnp.float32)] * len(products),
        lambda left, right: list(map(operator.add, left, right)),
        (1, 2),
    )
    kernel_gradient = jnp.stack(sums).sum(axis=1).reshape(kernel.shape).astype(kernel.dtype)
    return images_gradient, kernel_gradient


_shifted_products.defvjp(_forward, _backward)
