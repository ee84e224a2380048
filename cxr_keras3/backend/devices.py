"""What training runs on: one device or many, one process or several, and in which number format."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import keras

from cxr_keras3.base import progress
from cxr_keras3.base.choices import Precision
from cxr_keras3.base.errors import UserError


def process() -> tuple[int, int]:
    """The number of this process and how many there are."""
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax  # noqa: PLC0415 -- Keras tells the number, not how many there are

    return jax.process_index(), jax.process_count()


def is_chief() -> bool:
    """Whether this process writes the files; exactly one does."""
    return process()[0] == 0


def on_accelerator() -> bool:
    """Whether Keras computes on a GPU or TPU."""
    if keras.backend.backend() == "torch":
        import torch  # noqa: PLC0415 -- only where it is the backend

        return bool(torch.cuda.is_available())
    return _has("gpu") or _has("tpu")


def _has(kind: str) -> bool:
    """Whether there is a device of a kind; JAX raises where it knows none."""
    try:
        return bool(keras.distribution.list_devices(kind))
    except RuntimeError:
        return False


@contextmanager
def training(precision: Precision, *, batch_size: int) -> Iterator[bool]:
    """Within it, models are built for all devices of all processes and in the number format chosen.

    The batch is divided among the devices (data parallel), whose gradients and batch statistics are those of
    the whole batch: the result does not depend on their number, but for rounding.

    Yields:
        Whether a model built inside differs from one built outside, so that it has to be built anew.

    Raises:
        UserError: Where the batch cannot be divided evenly.
    """
    policy = precision
    if precision == "auto":
        policy = "mixed_bfloat16" if on_accelerator() else "float32"
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) > 1 and batch_size % len(devices):
        raise UserError(f"the batch size must be a multiple of the {len(devices)} devices, received {batch_size}")
    before = keras.config.dtype_policy()
    with ExitStack() as undo:
        undo.callback(keras.config.set_dtype_policy, before)
        keras.config.set_dtype_policy(policy)
        if len(devices) > 1:
            progress.say(f"{len(devices)} devices, {batch_size // len(devices)} images a step on each")
            # Not sharded by Keras, which can do so with tf.data only: each process feeds its own share.
            distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
            undo.enter_context(distribution.scope())
        yield len(devices) > 1 or policy != "float32"
