"""Chooses the Keras backend, which has to happen before Keras is first imported."""

import importlib.util
import os
from dataclasses import dataclass
from typing import Literal, get_args

from cxr_keras3.base.errors import UserError

Backend = Literal["jax", "tensorflow", "torch"]
BACKENDS: tuple[str, ...] = get_args(Backend)
RUNTIMES = ("openvino", *BACKENDS)
"""What can compute an answer: a run's export, or Keras on a backend."""


@dataclass(frozen=True)
class Together:
    """Several processes that train one model, each on its own devices.

    Attributes:
        coordinator: Address and port of process 0, such as "10.0.0.1:1234"; or "auto", where JAX learns these and the
            numbers below from SLURM, Open MPI or the TPU pod.
        processes: How many there are.
        process: The number of this one, from 0.
    """

    coordinator: str
    processes: int
    process: int

    def __post_init__(self) -> None:
        if not 0 <= self.process < self.processes:
            raise UserError(f"--process must lie in 0..{self.processes - 1}, received {self.process}")


def select(name: str, together: Together | None = None) -> None:
    """Makes Keras run on a backend and imports it.

    TensorFlow serves tf.data and KerasCV under every backend; unless it is the backend itself it is
    kept off the accelerators, whose memory it would otherwise take whole.

    Args:
        name: One of `BACKENDS`.
        together: The processes that this one is to join, which has to happen before JAX looks for devices.

    Raises:
        UserError: Where the backend is unknown or not installed, or cannot be joined by several processes.
        RuntimeError: Where Keras has already been imported on another backend in this process.
    """
    if name not in BACKENDS:
        raise UserError(f"the backend must be one of {', '.join(BACKENDS)}, received {name!r}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"the backend {name} is not installed; python -m pip install 'cxr_keras3[{name}]'")
    os.environ["KERAS_BACKEND"] = name
    _quieten_tensorflow()
    import keras  # noqa: PLC0415 -- reads KERAS_BACKEND now

    if keras.backend.backend() != name:
        raise RuntimeError(f"Keras already runs on {keras.backend.backend()} in this process")
    if name == "jax" and together is None:
        _require_devices()
    if together is not None:
        if name != "jax":
            raise UserError(f"several processes train on JAX only, received --backend {name}")
        _join(together)
    if name == "jax":
        from cxr_keras3.backend import fast_convolutions  # noqa: PLC0415 -- needs JAX

        fast_convolutions.enable()


def _require_devices() -> None:
    import jax  # noqa: PLC0415 -- the backend is chosen

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where JAX_PLATFORMS names what it has no plug-in for
        asked = os.environ.get("JAX_PLATFORMS", "")
        raise UserError(
            f"JAX must find a device, with JAX_PLATFORMS={asked!r} it finds none; unset it, or name a platform that "
            "this machine has, such as cpu"
        ) from error


def _join(together: Together) -> None:
    import keras  # noqa: PLC0415 -- the backend is chosen

    if together.coordinator != "auto":
        keras.distribution.initialize(together.coordinator, together.processes, together.process)
        return
    try:
        keras.distribution.initialize()
    except ValueError as error:
        raise UserError(
            f"--coordinator auto needs a job of SLURM or Open MPI or a TPU pod, found none ({error}); give HOST:PORT"
        ) from error


def keep_tensorflow_off_accelerators() -> None:
    """Imports TensorFlow and hides GPUs and TPUs from it, unless it is the Keras backend itself."""
    _quieten_tensorflow()
    import tensorflow as tf  # noqa: PLC0415 -- takes seconds; callers are about to need it

    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        for kind in ("GPU", "TPU"):
            tf.config.set_visible_devices([], kind)


def _quieten_tensorflow() -> None:
    """Before its import: else it greets with a page of notices."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it only reads data then; silences one more notice
