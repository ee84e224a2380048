"""Finds images that show the same film, by a perceptual fingerprint, and joins what belongs together.

The threshold and its evidence are in `docs/adr/0007-group-and-split-by-evidence.md`.
"""

from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

THUMBNAIL_SIZE = 32
"""Side in pixels of the thumbnail that a fingerprint is computed from."""

FREQUENCIES = 12
"""Lowest spatial frequencies kept in each direction; a fingerprint has their square, 144 values."""

NEAR_DUPLICATE_SIMILARITY = 0.955
"""Fingerprints at least this similar are taken to show the same film."""

NO_FINGERPRINT = np.zeros(FREQUENCIES**2, dtype=np.float32)
"""The fingerprint of nothing, which resembles nothing."""

_BLOCK = 2048
"""Rows compared at once: a block of similarities takes 2048 x 2048 x 4 bytes, 17 MB."""

# Film spectra fall roughly as one over the frequency, so this weight gives every scale of detail the
# same say. Without it the outline of any chest, common to all films, outweighs what tells them apart.
# The constant term gets no weight.
_WEIGHT = np.hypot(*np.mgrid[:FREQUENCIES, :FREQUENCIES])


def fingerprint(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns a perceptual fingerprint of an image: a unit vector, so a dot product is a similarity.

    The grey levels of a 32x32 thumbnail are replaced by their ranks, which undoes changes of
    brightness, contrast and gamma; the lowest 12x12 coefficients of their discrete cosine transform,
    weighted by frequency, are scaled to length one. This is the perceptual hash of Zauner
    (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010) kept as real numbers.
    It bears recompression, resampling and changes of grey scale; not flips, and crops only up to
    about one per cent of the side.

    Args:
        pixels: Grey image, shape (height, width). Size and aspect ratio do not matter.

    Returns:
        Vector of shape (144,). An image of a single grey level gives zeros, which resemble nothing.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"pixels must be uint8 (height, width), got {pixels.dtype} of shape {pixels.shape}")
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    thumbnail = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    counts = np.bincount(thumbnail.ravel(), minlength=256)
    ranks = (np.cumsum(counts) - counts / 2)[thumbnail]
    spectrum = dctn(ranks, norm="ortho")[:FREQUENCIES, :FREQUENCIES] * _WEIGHT
    length = float(np.linalg.norm(spectrum))
    # Rounding leaves a little in the spectrum of a constant image; a real one has a length above 100.
    if length < 1e-6:
        return np.zeros(FREQUENCIES**2, np.float32)
    vector: npt.NDArray[np.float32] = (spectrum / length).ravel().astype(np.float32)
    return vector


def near_duplicates(
    fingerprints: npt.NDArray[np.float32], *, threshold: float = NEAR_DUPLICATE_SIMILARITY
) -> npt.NDArray[np.int64]:
    """Returns the pairs of images whose fingerprints are at least `threshold` similar.

    Every pair is compared, block by block: 21,165 images need a few seconds, 17 MB for a block of
    similarities and 16 bytes for each pair found.

    Args:
        fingerprints: Shape (images, 144), rows of length one (or zero).
        threshold: Least similarity of a pair, in (0, 1].

    Returns:
        Row numbers, shape (pairs, 2), the smaller first, in ascending order.
    """
    count = len(fingerprints)
    found = [np.empty((0, 2), np.int64)]
    for row in range(0, count, _BLOCK):
        for column in range(row, count, _BLOCK):
            similarity = fingerprints[row : row + _BLOCK] @ fingerprints[column : column + _BLOCK].T
            pairs = np.argwhere(similarity >= threshold) + np.array([row, column])
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def pairs_with_equal_keys(keys: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    """Returns pairs that chain the positions holding equal keys: each with the first that holds its key."""
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(key, position), position) for position, key in enumerate(keys)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def connect(count: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Returns a component number for each of `count` items joined by `pairs`, shape (pairs, 2).

    >>> connect(4, np.array([[0, 2], [2, 3]])).tolist()
    [0, 1, 0, 0]
    """
    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component, np.int32)
