"""The lung masks of a split: those that people drew, and those that the segmenter finds where there is none."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.images.region import restrict
from cxr_keras3.lungs.measures import dice
from cxr_keras3.lungs.showing import Showing, mask, outlined
from cxr_keras3.lungs.sides import joined
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder


@dataclass(frozen=True, eq=False)
class Masks:
    """The lungs of N images, at the images' size.

    Attributes:
        lungs: bool (N, 299, 299); all false where none were drawn and none found.
        drawn: bool (N,), whether a person drew them.
        agreement: float (N,), Dice of the lungs found with the lungs drawn; NaN where none were drawn.
    """

    lungs: npt.NDArray[np.bool_]
    drawn: npt.NDArray[np.bool_]
    agreement: npt.NDArray[np.float64]

    def subset(self, chosen: np.ndarray) -> Self:
        """Those at the given positions, or where a bool (N,) is true."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def only_drawn(self) -> npt.NDArray[np.bool_]:
        """`lungs` where a person drew them, and all false elsewhere."""
        return self.lungs & self.drawn[:, np.newaxis, np.newaxis]


def load_masks(builder: Builder, split: str, *, showing: Showing) -> Masks:
    """Reads and finds the masks of the images that `data.load_split` gives, in their order.

    Args:
        builder: The dataset.
        split: One of `data.SPLITS`.
        showing: What of each image the model is shown; masks are cropped as their images are.
    """
    lungs, drawn, agreement = [], [], []
    for row, found in outlined(read(builder, split), showing.segmenter):
        if showing.region != "full" and not found.any():
            continue
        has_mask = bool(row["has_mask"])
        kept = row["mask"] if has_mask else mask(found)
        large = Image.fromarray(kept[..., 0]).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST)
        region = restrict(np.asarray(large)[..., np.newaxis], mask(found), showing.region)
        lungs.append(region[..., 0] > 127)
        drawn.append(has_mask)
        agreement.append(dice(joined(found), row["mask"][..., 0] > 127) if has_mask else np.nan)
    return Masks(np.array(lungs, dtype=np.bool_), np.array(drawn, dtype=np.bool_), np.array(agreement))
