"""Films with the surroundings of another film around their lungs, so that what lies outside does not tell the class.

After the swaps by which classifiers of photographs were taught to look at the object (Xiao et al., ICLR 2021).
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.images.region import extent
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.lungs.sides import SIZE, joined

_EDGE = 3.0  # pixels over which a lung fades into what is around it
_FAR = 20.0  # pixels from which a donor's lungs are filled in
_REDUCED = 4
_TOO_SMALL = 0.03  # share of the picture, below which lungs are not taken for lungs

Image8 = npt.NDArray[np.uint8]


class Surroundings:
    """Gives training films, some of them with another class's surroundings; decided by seed, epoch and position.

    Attributes:
        share: Of the films that are changed, 0..1.
    """

    def __init__(
        self, images: Image8, lungs: npt.NDArray[np.bool_], labels: npt.NDArray[np.integer], *, share: float
    ) -> None:
        """Takes the films.

        Args:
            images: uint8 (N, 299, 299, 1).
            lungs: bool (N, 256, 256), all false where they are not known.
            labels: int (N,).
            share: See the class.
        """
        self.share = share
        self._images, self._labels = images, labels
        self._lungs = np.packbits(lungs.reshape(len(lungs), -1), axis=1)  # 8 kB a film
        self._known = np.flatnonzero(lungs.mean(axis=(1, 2)) >= _TOO_SMALL)

    @classmethod
    def found(cls, images: Image8, labels: npt.NDArray[np.integer], segmenter: Segmenter, *, share: float) -> Self:
        """Of films whose lungs a segmenter finds."""
        lungs = joined(segmenter.outline(images, task="lungs of the training images"))
        return cls(images, lungs, labels, share=share)

    def __call__(self, index: int, *, seed: Sequence[int]) -> Image8:
        """The film at a position, uint8 (299, 299, 1), as it is or with other surroundings."""
        generator = np.random.default_rng((*seed, 2))
        others = self._known[self._labels[self._known] != self._labels[index]]
        if generator.random() >= self.share or index not in self._known or not len(others):
            return np.asarray(self._images[index])
        donor = int(generator.choice(others))
        return surrounded(self._images[index], self._mask(index), self._images[donor], self._mask(donor))

    def _mask(self, index: int) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self._lungs[index]).reshape(SIZE, SIZE).astype(bool)


def surrounded(film: Image8, lungs: npt.NDArray[np.bool_], donor: Image8, its_lungs: npt.NDArray[np.bool_]) -> Image8:
    """Lungs of one film in the surroundings of another.

    The donor's lungs are filled in with what lies around them, and it is moved so that their box is that of the film's
    lungs, which are brought to its exposure and faded in.

    Args:
        film: uint8 (299, 299, 1).
        lungs: Its lungs, bool (256, 256).
        donor: uint8 (299, 299, 1).
        its_lungs: The donor's lungs, bool (256, 256).

    Returns:
        uint8 (299, 299, 1).
    """
    inside, theirs = _enlarged(lungs), _enlarged(its_lungs)
    around = _moved(_filled(donor[..., 0], theirs), extent(theirs), extent(inside))
    share = ndimage.gaussian_filter(ndimage.binary_dilation(inside, iterations=2).astype(np.float32), _EDGE / 2)
    rim = ndimage.binary_dilation(inside, iterations=8) & ~inside
    own = film[..., 0].astype(np.float32)
    gain = float(around[rim].mean() + 1) / float(own[rim].mean() + 1)
    mixed = share * own * gain + (1 - share) * around
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)[..., np.newaxis]


def _enlarged(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST))


def _filled(grey: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """A picture whose hole is filled in smoothly from around it."""
    known = (~ndimage.binary_dilation(hole, iterations=3)).astype(np.float32)
    values = grey.astype(np.float32)
    spread = _enlarged_again(_far(values * known) / np.maximum(_far(known), 1e-3))
    return np.where(known > 0, values, spread).astype(np.float32)


def _far(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A picture, float32 (299, 299), blurred over `_FAR` pixels, a quarter as large: so smooth a one needs no more."""
    reduced = np.asarray(Image.fromarray(picture).reduce(_REDUCED))
    return np.asarray(ndimage.gaussian_filter(reduced, _FAR / _REDUCED), dtype=np.float32)


def _enlarged_again(picture: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    box = (0.0, 0.0, IMAGE_SIZE / _REDUCED, IMAGE_SIZE / _REDUCED)
    reduced = Image.fromarray(picture.astype(np.float32))
    return np.asarray(reduced.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR, box), dtype=np.float32)


def _moved(
    picture: npt.NDArray[np.float32], old: tuple[int, int, int, int], new: tuple[int, int, int, int]
) -> npt.NDArray[np.float32]:
    """A picture moved and stretched from one extent to another; its edge is repeated where it does not reach."""
    down, across = (old[1] - old[0]) / (new[1] - new[0]), (old[3] - old[2]) / (new[3] - new[2])
    offset = old[0] - down * new[0], old[2] - across * new[2]
    return np.asarray(
        ndimage.affine_transform(picture, (down, across), offset=offset, order=1, mode="nearest"), dtype=np.float32
    )
