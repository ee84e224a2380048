"""Depthwise and 1x1 convolutions that are fast on a CPU under JAX.

XLA's CPU backend computes a depthwise convolution some twenty times below what the memory allows, and its
gradient worse still (jax-ml/jax#23713, google/flax#4207, openxla/xla#34273). The same two operators written as
shifted products and as a matrix product have equal results up to rounding. `enable` puts them in place of
Keras's own; whatever they do not cover is handed to Keras's function untouched.

Like every function with a gradient written by hand in JAX, the depthwise convolution has no forward-mode
derivative (`jax.jvp`); reverse mode, of any order, is what Keras trains with.
"""

import functools
import importlib
import inspect
import logging
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cxr_keras3.errors import UserError

SWITCH = "CXR_KERAS3_FAST_CONVOLUTIONS"

Operator = Callable[..., jax.Array]

_PARAMETERS = ("inputs", "kernel", "strides", "padding", "data_format", "dilation_rate")
_LOGGER = logging.getLogger("cxr_keras3")
_originals: dict[str, Operator] = {}


def _taps(
    padded: jax.Array, window: tuple[int, int], out: tuple[int, int], strides, dilation
) -> list[jax.Array]:
    """What each place of the window sees: `window` slices of shape (B, *out, C), row by row."""
    spans = [(o - 1) * s + 1 for o, s in zip(out, strides, strict=True)]
    return [
        padded[:, i : i + spans[0] : strides[0], j : j + spans[1] : strides[1]]
        for i in range(0, window[0] * dilation[0], dilation[0])
        for j in range(0, window[1] * dilation[1], dilation[1])
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(padded, kernel, strides, dilation):
    window = kernel.shape[:2]
    out = tuple(
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded.shape[1:3], window, strides, dilation)
    )
    accumulator = jnp.promote_types(padded.dtype, jnp.float32)
    weights = kernel.reshape(-1, kernel.shape[-1]).astype(accumulator)
    taps = _taps(padded, window, out, strides, dilation)
    return sum(tap.astype(accumulator) * weight for tap, weight in zip(taps, weights)).astype(padded.dtype)


def _forward(padded, kernel, strides, dilation):
    return _depthwise(padded, kernel, strides, dilation), (padded, kernel)


AXES = (1, 2)


def _backward(strides, dilation, residuals, g):
    padded, kernel = residuals
    window = kernel.shape[:2]
    reach = [d * (k - 1) for k, d in zip(window, dilation)]
    margins = [
        (r, n - (o - 1) * s - 1, s - 1) for r, n, o, s in zip(reach, padded.shape[1:3], g.shape[1:3], strides)
    ]
    spread = lax.pad(g, np.zeros((), g.dtype), [(0, 0, 0), *margins, (0, 0, 0)])
    input_gradient = _depthwise(spread, kernel[::-1, ::-1], (1, 1), dilation)
    accumulator = jnp.promote_types(g.dtype, jnp.float32)
    g = g.astype(accumulator)
    products = [t.astype(accumulator) * g for t in _taps(padded, window, g.shape[1:3], strides, dilation)]
    sums = lax.reduce(
        products,
        [np.zeros((), accumulator)] * len(products),
        lambda left, right: [a + b for a, b in zip(left, right)],
        AXES,
    )
    kernel_gradient = jnp.stack(sums).reshape(len(sums), -1, g.shape[-1]).sum(1)
    return input_gradient, kernel_gradient.reshape(kernel.shape).astype(kernel.dtype)


_depthwise.defvjp(_forward, _backward)


def _pair(x):
    return (x, x) if isinstance(x, int) else tuple(x)


def _depthwise_conv(inputs, kernel, strides, padding, dilation):
    strides, dilation = _pair(strides), _pair(dilation)
    if kernel.shape[-1] > 1:
        inputs = jnp.repeat(inputs, kernel.shape[-1], axis=-1)
    kernel = kernel.reshape(*kernel.shape[:2], -1)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation)]
    margins = lax.padtype_to_pads(inputs.shape[1:3], spans, strides, padding.upper())
    return _depthwise(jnp.pad(inputs, ((0, 0), *margins, (0, 0))), kernel, strides, dilation)


def _pointwise(inputs, kernel, strides):
    strides = _pair(strides)
    inputs = inputs[:, :: strides[0], :: strides[1]]
    return (inputs.reshape(-1, inputs.shape[-1]) @ kernel[0, 0]).reshape(*inputs.shape[:3], -1)


def enable():
    nn = importlib.import_module("keras.src.backend").nn
    ct = importlib.import_module("keras.src.backend").convert_to_tensor
    c0, d0 = nn.conv, nn.depthwise_conv

    def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
        k = ct(kernel)
        i = ct(inputs, dtype=k.dtype)
        if k.ndim == 4 and k.shape[:2] == (1, 1) and k.shape[2] == i.shape[-1]:
            return _pointwise(i, k, strides)
        return c0(inputs, kernel, strides, padding, data_format, dilation_rate)

    def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
        k = ct(kernel)
        i = ct(inputs)
        return _depthwise_conv(i, k, strides, padding, dilation_rate)

    which = os.environ.get("WHICH", "cd")
    if "c" in which:
        nn.conv = conv
    if "d" in which:
        nn.depthwise_conv = depthwise_conv
