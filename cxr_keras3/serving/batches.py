"""Runs a runtime over images that are in memory already, in batches of one size, which is compiled once."""

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.batching import BATCH_SIZE, filled
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.serving.runtimes import Runtime


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
        waiting.append(runtime.start(filled(images[start : start + BATCH_SIZE])))
        if len(waiting) >= runtime.in_flight(BATCH_SIZE):
            parts.append(waiting.popleft()())
    parts += [wait() for wait in waiting]
    return Outputs.joined(parts, len(images))
