"""What a run has not seen of a split, where it was trained on an earlier version of the dataset."""

import numpy as np

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.training.data import Split
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def unseen(run: Run, builder: Builder, split: str, examples: Split) -> np.ndarray:
    """Tells the images that the run was neither trained nor tuned on, nor any of their group.

    A new version of the dataset moves images between splits. What the run's own evaluation tested on it has not seen;
    a group is unseen where all of it was tested on.

    Args:
        run: The run.
        builder: A dataset of the files that it was trained on.
        split: The split's name.
        examples: The split.

    Returns:
        bool (N,), all true where the versions are the same.

    Raises:
        UserError: Where the versions differ and nothing, or nothing that is known of, was not seen.
    """
    if run.is_split_as(builder):
        return np.ones(len(examples), dtype=bool)
    versions = (
        f"{run.name} was trained on version {run.manifest.data['version']} of the dataset, this is {builder.version}"
    )
    if split != "test":
        raise UserError(f"--split must be test, received {split}: {versions}, and it was tuned on images of any other")
    tested_on = np.isin(examples.image_ids, run.predictions.image_ids)
    kept = ~np.isin(examples.group_ids, examples.group_ids[~tested_on])
    if not kept.any():
        raise UserError(
            f"the test split must hold an image that the run has not seen, it holds none; {versions}: train again"
        )
    progress.say(
        f"{(~kept).sum()} of {len(kept)} test images are left out: {versions}, and it has seen them or their group"
    )
    return np.asarray(kept)
