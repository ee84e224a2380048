"""The lung masks of a split, which `cxr_keras3.data` leaves unread: training needs none."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.images import IMAGE_SIZE
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def load(builder: Builder, split: str) -> npt.NDArray[np.bool_]:
    """Reads the masks at the images' size, in the dataset's own fixed order.

    Returns:
        bool (N, 299, 299), true in the lungs; all false where an image has no mask.
    """
    masks = np.zeros((builder.info.splits[split].num_examples, IMAGE_SIZE, IMAGE_SIZE), dtype=np.bool_)
    for mask, row in zip(masks, read(builder, split, encoded=("image",)), strict=True):
        if row["has_mask"]:
            drawn = Image.fromarray(row["mask"][..., 0])
            mask[...] = np.asarray(drawn.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST)) > 127
    return masks
