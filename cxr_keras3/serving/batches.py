"""Runs a runtime over images that are in memory already."""

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cxr_keras3.base import progress
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.serving.runtimes import BATCH_SIZE, Runtime


def run(runtime: Runtime, images: npt.NDArray[np.uint8], *, task: str) -> Outputs:
    """Runs a runtime in batches of one size, the last filled up by repetition, several in flight at a time.

    Args:
        runtime: What computes.
        images: uint8 (N, 299, 299, 1), N at least 1.
        task: What the progress bar says.

    Returns:
        The outputs for all N.
    """
    waiting: deque[Callable[[], Outputs]] = deque()
    parts: list[Outputs] = []
    for chosen in progress.track(positions(len(images)), description=task):
        waiting.append(runtime.start(np.asarray(images[chosen])))
        if len(waiting) >= runtime.in_flight(BATCH_SIZE):
            parts.append(waiting.popleft()())
    parts += [wait() for wait in waiting]
    return Outputs.joined(parts, len(images))


def positions(count: int) -> list[npt.NDArray[np.int64]]:
    """Positions of `count` images batch by batch, the last filled up by repetition of the last image."""
    starts = range(0, count, BATCH_SIZE)
    return [np.minimum(np.arange(start, start + BATCH_SIZE), count - 1) for start in starts]
