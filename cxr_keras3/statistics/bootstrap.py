"""Percentile intervals from a bootstrap over groups.

Groups (patients, near-duplicates) are drawn with replacement, each with all its images: drawing images would pretend
that two films of one patient are independent (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).

>>> import numpy as np
>>> right = np.array([True, True, False, True, True, True, False, True])
>>> share(right, groups=np.arange(8)).text(2)
'0.75 (0.50 to 1.00)'
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import binomtest

from cxr_keras3.statistics.figures import UNDEFINED, Figure

Statistic = Callable[[np.ndarray], np.ndarray]
"""Takes weights float64 (R, N), a row a bootstrap sample: how often each image was drawn. Gives float (R,), NaN where
undefined."""

RESAMPLES = 1000
LEVEL = 0.95
_BLOCK = 50  # bootstrap samples at a time: 8 MB of weights for 21,165 images


class Bootstrap:
    """Bootstrap samples of the groups of N images, drawn once, for one statistic after another."""

    def __init__(self, groups: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        """Draws the samples.

        Args:
            groups: (N,), equal for images of one group.
            resamples: Number of samples.
            seed: Decides them.
        """
        generator = np.random.default_rng(seed)
        names, self._group_of_image = np.unique(groups, return_inverse=True)
        self._times = np.empty((resamples, len(names)), dtype=np.uint16)  # each group was drawn
        for start in range(0, resamples, _BLOCK):
            drawn = generator.integers(len(names), size=(min(_BLOCK, resamples - start), len(names)))
            for offset, row in enumerate(drawn):
                self._times[start + offset] = np.bincount(row, minlength=len(names))

    def figure(self, statistic: Statistic) -> Figure:
        """A statistic of the images as they are, and its interval; undefined where it is not finite."""
        value = float(statistic(np.ones((1, len(self._group_of_image))))[0])
        if not np.isfinite(value):
            return UNDEFINED
        resampled = np.concatenate([statistic(weights) for weights in self._weights()])
        low, high = np.nanquantile(resampled, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
        return Figure(value=value, low=float(low), high=float(high))

    def _weights(self) -> Iterator[np.ndarray]:
        """How often each image was drawn, in blocks (R, N)."""
        for start in range(0, len(self._times), _BLOCK):
            yield self._times[start : start + _BLOCK, self._group_of_image].astype(np.float64)


def share(hits: np.ndarray, *, groups: np.ndarray) -> Figure:
    """The share of images that are hits, bool (N,), with its interval.

    Where all or none are, every bootstrap sample agrees and the interval is that of Clopper and Pearson
    (Biometrika 26, 1934) over groups: 40 right of 40 may still be 91 %.
    """
    if len(hits) and (hits.all() or not hits.any()):
        count = len(np.unique(groups))
        exact = binomtest(count if hits.all() else 0, count).proportion_ci(LEVEL, method="exact")
        return Figure(value=float(hits[0]), low=float(exact.low), high=float(exact.high))
    return mean(hits.astype(np.float64), groups=groups)


def mean(values: np.ndarray, *, groups: np.ndarray) -> Figure:
    """The mean of values float (N,), with its interval; undefined where N is 0."""
    if len(values) == 0:
        return UNDEFINED
    return Bootstrap(groups).figure(lambda weights: weighted_mean(values, weights))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of values (N,) under each weighting (R, N): (R,), NaN where nothing has weight."""
    return ratio(weights @ values, weights.sum(axis=1))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is 0."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0))
