"""The lung masks of a split, which `cxr_keras3.training.data` leaves unread: training needs none."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base.choices import Region
from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.images.region import restrict
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def load_masks(builder: Builder, split: str, *, region: Region) -> npt.NDArray[np.bool_]:
    """Reads the masks at the images' size, of the images that `data.load` gives and in their order.

    Args:
        builder: The dataset.
        split: One of `data.SPLITS`.
        region: What of each image is kept, see `cxr_keras3.images.region`; masks are cropped as their images are.

    Returns:
        bool (N, 299, 299), true in the lungs; all false where an image has no mask.
    """
    masks = np.zeros((builder.info.splits[split].num_examples, IMAGE_SIZE, IMAGE_SIZE), dtype=np.bool_)
    count = 0
    for row in read(builder, split, encoded=("image",)):
        if row["has_mask"]:
            drawn = Image.fromarray(row["mask"][..., 0]).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST)
            masks[count] = restrict(np.asarray(drawn)[..., np.newaxis], row["mask"], region)[..., 0] > 127
        count += int(row["has_mask"] or region == "full")
    return masks[:count]
