"""Batches of one size: what runs a graph compiles each size anew."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

BATCH_SIZE = 16
"""Images computed at a time in use."""

Item = TypeVar("Item", bound=np.generic)


def filled(batch: npt.NDArray[Item], size: int = BATCH_SIZE) -> npt.NDArray[Item]:
    """A batch (B, …), B from 1 to `size`, filled up to `size` by repetition of its last item."""
    return np.asarray(batch)[np.minimum(np.arange(size), len(batch) - 1)]
