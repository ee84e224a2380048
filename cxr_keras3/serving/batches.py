"""Runs a runtime over images that are in memory already, in batches of one size, which is compiled once."""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.serving.runtimes import BATCH_SIZE, Runtime

Item = TypeVar("Item", bound=np.generic)


def run(runtime: Runtime, images: npt.NDArray[np.uint8], *, task: str) -> Outputs:
    """Runs a runtime over images, several batches in flight at a time.

    Args:
        runtime: The runtime.
        images: uint8 (N, 299, 299, 1), N at least 1.
        task: What the progress bar says.

    Returns:
        The outputs for all N.
    """
    from cxr_keras3.base import progress  # noqa: PLC0415 -- the predictor, which shows no bar, starts sooner without

    waiting: deque[Callable[[], Outputs]] = deque()
    parts: list[Outputs] = []
    for start in progress.track(range(0, len(images), BATCH_SIZE), description=task):
        waiting.append(runtime.start(filled(images[start : start + BATCH_SIZE], BATCH_SIZE)))
        if len(waiting) >= runtime.in_flight(BATCH_SIZE):
            parts.append(waiting.popleft()())
    parts += [wait() for wait in waiting]
    return Outputs.joined(parts, len(images))


def filled(batch: npt.NDArray[Item], size: int) -> npt.NDArray[Item]:
    """A batch (B, …), B from 1 to `size`, filled up to `size` by repetition of its last item."""
    return np.asarray(batch)[np.minimum(np.arange(size), len(batch) - 1)]
