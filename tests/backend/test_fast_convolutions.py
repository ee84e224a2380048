"""The fast convolutions against Keras's own, one by one and in whole models."""

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_keras3.backend import fast_convolutions
from cxr_keras3.backend.fast_convolutions import Pair
from cxr_keras3.base.errors import UserError

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="they replace what Keras does under JAX"),
    pytest.mark.skipif(jax.default_backend() != "cpu", reason="they replace what JAX does on a CPU"),
]
ROOT = Path(__file__).parents[2]
few_examples = settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ROUNDING = {"float32": 1e-5, "bfloat16": 2.0**-7, "float16": 2.0**-10}
Convolution = Callable[..., jax.Array]


@pytest.fixture(autouse=True, scope="module")
def as_before() -> Iterator[None]:
    """Whatever the other tests had on is on again afterwards."""
    was_on = bool(fast_convolutions._originals)
    yield
    fast_convolutions.disable()
    if was_on:
        fast_convolutions.enable()


@pytest.fixture
def operators() -> Iterator[Any]:
    """The module of Keras's own operators, before anything is replaced."""
    fast_convolutions.disable()
    yield keras.src.backend.nn
    fast_convolutions.disable()


def with_original(function: Callable[[], Any]) -> Any:
    fast_convolutions.disable()
    return function()


def with_fast(function: Callable[[], Any]) -> Any:
    assert fast_convolutions.enable()
    return function()


def results(convolution: Convolution) -> Convolution:
    """The output and both gradients of a convolution, for images, kernel and the output's gradient."""

    def run(images: jax.Array, kernel: jax.Array, gradient: jax.Array) -> list[jax.Array]:
        output, backward = jax.vjp(convolution, images, kernel)
        return [output, *backward(gradient)]

    return jax.jit(run)


def assert_equal_results(convolution: Convolution, images: jax.Array, kernel: jax.Array) -> None:
    """Types as Keras has them, values within rounding of Keras's in float32 for the same operands."""
    output = with_original(lambda: jax.eval_shape(convolution, images, kernel))
    operands = [images, kernel, *arrays(output.dtype.name, output.shape)]
    exactly = results(convolution)
    exact = with_original(lambda: exactly(*(operand.astype(np.float32) for operand in operands)))
    scale = with_original(lambda: exactly(*(abs(operand.astype(np.float32)) for operand in operands)))
    fast = with_fast(lambda: results(convolution)(*operands))
    for received, expected, largest, like in zip(fast, exact, scale, [output, images, kernel], strict=True):
        assert received.shape == expected.shape == like.shape
        assert received.dtype == like.dtype == images.dtype
        error = abs(received.astype(np.float32) - expected)
        subnormal = float(jnp.finfo(like.dtype).smallest_subnormal)  # below it nothing is rounded relatively
        assert (error <= ROUNDING[like.dtype.name] * largest + subnormal).all()


def arrays(dtype: str, *shapes: tuple[int, ...]) -> list[jax.Array]:
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


dtypes = st.sampled_from(["float32", "bfloat16", "float16"])
paddings = st.sampled_from(["valid", "same"])
sizes = st.integers(1, 12)
steps = st.tuples(st.integers(1, 3), st.integers(1, 3))


@few_examples
@given(
    height=sizes,
    width=sizes,
    channels=st.integers(1, 9),
    multiplier=st.integers(1, 3),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=steps,
    dilation=steps,
    padding=paddings,
    dtype=dtypes,
)
def test_depthwise_convolution_and_gradients_equal_keras(
    *,
    height: int,
    width: int,
    channels: int,
    multiplier: int,
    window: Pair,
    strides: Pair,
    dilation: Pair,
    padding: str,
    dtype: str,
) -> None:
    images, kernel = arrays(dtype, (2, height, width, channels), (*window, channels, multiplier))

    convolution = functools.partial(keras.ops.depthwise_conv, strides=strides, padding=padding, dilation_rate=dilation)
    assert_equal_results(convolution, images, kernel)


@few_examples
@given(
    height=sizes,
    width=sizes,
    channels=st.integers(1, 9),
    filters=st.integers(1, 9),
    strides=steps,
    padding=paddings,
    dtype=dtypes,
)
def test_1x1_convolution_and_gradients_equal_keras(
    *, height: int, width: int, channels: int, filters: int, strides: Pair, padding: str, dtype: str
) -> None:
    images, kernel = arrays(dtype, (2, height, width, channels), (1, 1, channels, filters))
    assert_equal_results(functools.partial(keras.ops.conv, strides=strides, padding=padding), images, kernel)


def test_separable_convolution_is_composed_of_the_two(operators: Any) -> None:
    images, kernel, pointwise = arrays("float32", (2, 9, 8, 3), (3, 3, 3, 2), (1, 1, 6, 5))
    separable = functools.partial(keras.ops.separable_conv, pointwise_kernel=pointwise, padding="same")
    slow = separable(images, kernel)
    fast_convolutions.enable()
    assert "conv_general_dilated" not in str(jax.make_jaxpr(separable)(images, kernel))
    np.testing.assert_allclose(separable(images, kernel), slow, atol=1e-4)


def test_gradient_of_the_gradient_equals_keras() -> None:
    images, kernel = arrays("float32", (1, 6, 7, 2), (3, 3, 2, 1))

    def penalty(images: jax.Array, kernel: jax.Array) -> jax.Array:
        slope = jax.grad(lambda x: (keras.ops.depthwise_conv(x, kernel, strides=2) ** 3).sum())(images)
        return jnp.square(slope).sum()

    received = with_fast(lambda: jax.jit(jax.grad(penalty, argnums=(0, 1)))(images, kernel))
    expected = with_original(lambda: jax.jit(jax.grad(penalty, argnums=(0, 1)))(images, kernel))
    for fast, slow in zip(received, expected, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-3 * float(jnp.abs(slow).max()))


def smooth(layer: keras.Layer) -> keras.Layer:
    """The layer again, or instead of a ReLU, at whose kinks gradients differ by rounding alone, a tanh."""
    if isinstance(layer, keras.layers.ReLU):
        return keras.layers.Activation("tanh")
    return layer.from_config(layer.get_config())


def test_whole_model_and_its_gradients_equal_keras() -> None:
    model = keras.models.clone_model(
        keras.applications.MobileNet(
            alpha=0.25, weights=None, include_top=False, input_shape=(96, 96, 3), pooling="avg"
        ),
        clone_function=smooth,
    )
    images, directions = arrays("float32", (4, 96, 96, 3), (4, 256))
    state = [variable.value for variable in model.non_trainable_variables]

    def loss(weights: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
        features, _ = model.stateless_call(weights, state, images, training=True)
        return (features * directions).mean(), features

    def run() -> tuple[jax.Array, list[jax.Array]]:
        differentiate = jax.jit(
            jax.value_and_grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0}
        )
        (_, features), gradients = differentiate([variable.value for variable in model.trainable_variables])
        return features, gradients

    (fast, fast_gradients), (slow, slow_gradients) = with_fast(run), with_original(run)
    np.testing.assert_allclose(fast, slow, atol=1e-4)
    for received, expected in zip(fast_gradients, slow_gradients, strict=True):
        assert jnp.linalg.norm(received - expected) < 1e-3 * jnp.linalg.norm(expected)


class Block(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Without a `compute_output_shape`, so that Keras traces it with a batch of unknown size."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        policy = self.dtype_policy
        self.depthwise = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, dtype=policy)
        self.pointwise = keras.layers.Conv2D(4, 1, strides=2, activation="relu", dtype=policy)
        self.depthwise.build(input_shape)
        self.pointwise.build(self.depthwise.compute_output_shape(input_shape))

    def call(self, inputs: Any) -> Any:
        return self.pointwise(self.depthwise(inputs))


@pytest.mark.parametrize(("size", "policy"), [(16, "float32"), (16, "mixed_bfloat16"), (None, "float32")])
def test_models_build_train_predict_and_reload(
    *, size: int | None, policy: str, tmp_path: Path, operators: Any
) -> None:
    fast_convolutions.enable()
    inputs = keras.Input((size, size, 3))
    outputs = keras.layers.GlobalAveragePooling2D(dtype="float32")(Block(dtype=policy)(inputs))
    model = keras.Model(inputs, outputs)
    assert model.output_shape == (None, 4)
    model.compile(optimizer="sgd", loss="mse")
    images = np.random.default_rng(0).normal(size=(6, 16, 16, 3)).astype(np.float32)
    model.fit(images, np.ones((6, 4)), batch_size=4, verbose=0)
    expected = model.predict(images, batch_size=4, verbose=0)
    np.testing.assert_allclose(model(images), expected, atol=1e-2)  # operator by operator, without jit
    model.save(tmp_path / "model.keras")
    fast_convolutions.disable()
    plain = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Block": Block})
    np.testing.assert_allclose(plain.predict(images, verbose=0), expected, atol=1e-2)


def recorded(function: Convolution, calls: list[str]) -> Convolution:
    @functools.wraps(function)
    def record(*arguments: Any, **named: Any) -> jax.Array:
        calls.append(function.__name__)
        return function(*arguments, **named)

    return record


@pytest.mark.parametrize(
    ("operator", "image_shape", "kernel_shape", "options"),
    [
        ("conv", (1, 6, 6, 4), (3, 3, 4, 2), {}),
        ("conv", (1, 6, 6, 4), (1, 1, 2, 2), {}),  # groups
        ("conv", (1, 4, 6, 6), (1, 1, 4, 2), {"data_format": "channels_first"}),
        ("conv", (1, 6, 4), (1, 4, 2), {}),
        ("conv", (1, 3, 3, 3, 4), (1, 1, 1, 4, 2), {}),
        ("depthwise_conv", (1, 4, 6, 6), (3, 3, 4, 1), {"data_format": "channels_first"}),
        ("depthwise_conv", (1, 6, 4), (3, 4, 1), {"strides": (2,), "dilation_rate": (1,)}),
        ("depthwise_conv", (1, 2, 2, 4), (3, 3, 4, 1), {}),  # nothing left
    ],
)
def test_what_is_not_covered_goes_to_keras(
    *,
    operator: str,
    image_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    options: dict[str, Any],
    operators: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, kernel = arrays("float32", image_shape, kernel_shape)
    expected = getattr(keras.ops, operator)(images, kernel, **options)
    calls: list[str] = []
    monkeypatch.setattr(operators, operator, recorded(getattr(operators, operator), calls))
    assert fast_convolutions.enable()
    received = getattr(keras.ops, operator)(images, kernel, **options)
    assert calls == [operator]
    np.testing.assert_array_equal(received, expected)
    fast_convolutions.disable()


def test_enable_logs_once_and_disable_restores(operators: Any, caplog: pytest.LogCaptureFixture) -> None:
    originals = operators.conv, operators.depthwise_conv
    with caplog.at_level(logging.INFO, logger="cxr_keras3"):
        assert fast_convolutions.enable()
        replaced = operators.conv, operators.depthwise_conv
        assert fast_convolutions.enable()
    assert (operators.conv, operators.depthwise_conv) == replaced != originals
    assert [record.levelname for record in caplog.records] == ["INFO"]
    fast_convolutions.disable()
    assert (operators.conv, operators.depthwise_conv) == originals


def remove_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(keras.src.backend.nn, "depthwise_conv")


def change_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.src.backend.nn, "depthwise_conv", lambda inputs, kernel, steps: inputs)


def remove_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(keras.src.backend, "nn")


@pytest.mark.parametrize("move", [remove_operator, change_signature, remove_module])
def test_a_keras_that_has_changed_is_left_alone_with_a_warning(
    move: Callable[[pytest.MonkeyPatch], None],
    operators: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = dict(vars(operators))
    with monkeypatch.context() as moved:
        move(moved)
        changed = dict(vars(operators))
        assert not fast_convolutions.enable()
        assert vars(operators) == changed
    assert vars(operators) == before
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "conv(inputs, kernel, strides" in record.getMessage()


def test_an_accelerator_is_left_alone(operators: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = operators.conv
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not fast_convolutions.enable()
    assert operators.conv is original


def test_the_switch_must_be_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fast_convolutions.SWITCH, "off")
    with pytest.raises(UserError, match="must be 0 or 1, received 'off'"):
        fast_convolutions.enable()


@pytest.mark.parametrize(("switch", "state"), [("0", "False"), ("1", "True")])
def test_the_environment_decides(switch: str, state: str) -> None:
    code = (
        "import keras\nfrom cxr_keras3.backend import fast_convolutions as fast\n"
        "print(fast.enable(), hasattr(keras.src.backend.nn.conv, '__wrapped__'))"
    )
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        fast_convolutions.SWITCH: switch,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [state, state]
