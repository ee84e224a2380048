"""The built dataset as arrays: builds it where it is missing, reads a split, feeds batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow_datasets as tfds

from cxr_keras3 import progress
from cxr_keras3.augment import augment
from cxr_keras3.errors import UserError
from cxr_keras3.images import IMAGE_SIZE
from tfds_cxr import database
from tfds_cxr.labels import LABELS
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """One split of the dataset in memory, 89 kB an image: 1.9 GB for all 21,165.

    Attributes:
        images: uint8 (N, 299, 299, 1).
        labels: int64 (N,), indices into `LABELS`.
        image_ids: (N,), the file names without ending.
        group_ids: (N,), images of one group are of one patient or near-duplicates of each other.
        sources: (N,), the recovered collection each image comes from; "unknown" where it is not.
    """

    images: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    group_ids: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def prepare(*, data_dir: Path | None, manual_dir: Path | None) -> Builder:
    """Finds the built dataset, or builds it.

    Args:
        data_dir: Where datasets are kept; TFDS's default (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`)
            when None.
        manual_dir: The folder with a copy of the database; when None, an already built dataset is used,
            or else the database is downloaded from Kaggle.

    Raises:
        UserError: Where the database cannot be had, or the dataset there was built from other files.
    """
    builder = Builder(data_dir=data_dir)
    if builder.is_prepared():
        if manual_dir is not None:
            _check_same_files(builder, manual_dir)
        return builder
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def _check_same_files(builder: Builder, manual_dir: Path) -> None:
    with database.opened(manual_dir) as root:
        fingerprint = database.listing_fingerprint(database.list_files(root))
    if fingerprint != builder.info.metadata["listing_fingerprint"]:
        raise UserError(
            f"the dataset in {builder.data_path} was built from other files than those in {manual_dir}; "
            "leave out --manual-dir to use it, or pass another --data-dir to build anew"
        )


def load(builder: Builder, split: str) -> Split:
    """Reads one split into memory, in the dataset's own fixed order."""
    count = builder.info.splits[split].num_examples
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.uint8)
    rows: list[Mapping[str, Any]] = []
    for image, row in zip(images, read(builder, split, encoded=("mask",)), strict=True):
        image[...] = row["image"]
        rows.append({key: value for key, value in row.items() if key not in ("image", "mask")})

    def text(key: str) -> np.ndarray:
        return np.array([row[key].decode() for row in rows], dtype=np.str_)

    labels = np.array([row["label"] for row in rows], dtype=np.int64)
    return Split(images, labels, text("image_id"), text("group_id"), text("source"))


def description(builder: Builder) -> dict[str, Any]:
    """What a manifest says of the data: version, fingerprint, counts by split and class, synthetic or not."""
    metadata = builder.info.metadata
    return {
        "dataset": builder.name,
        "version": str(builder.version),
        **{key: metadata[key] for key in ("listing_fingerprint", "counts", "synthetic")},
    }


def class_weights(labels: np.ndarray) -> dict[int, float]:
    """Weights inverse to the classes' frequencies, with a mean of 1 over the images."""
    present, found = np.unique(labels, return_counts=True)
    return {int(label): len(labels) / (len(present) * int(count)) for label, count in zip(present, found, strict=True)}


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Feeds shuffled batches to `Model.fit`: inputs (batch_size, …) and one-hot float32 (batch_size, classes).

    Order and augmentation depend on (seed, epoch, position) alone. What does not fill a batch is left for
    another epoch, so that the step is compiled once.
    """

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, *, batch_size: int, seed: int, augmented: bool) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self._inputs = inputs
        self._targets = one_hot(labels)
        self._batch_size = min(batch_size, len(labels))
        self._seed = seed
        self._augmented = augmented
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._inputs) // self._batch_size

    def on_epoch_end(self) -> None:
        """Moves to the next epoch's order."""
        self._epoch += 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._inputs))
        chosen = order[step * self._batch_size : (step + 1) * self._batch_size]
        inputs = self._inputs[chosen]
        if self._augmented:
            seeds = [(self._seed, self._epoch, int(index)) for index in chosen]
            inputs = np.stack([augment(image, seed=seed) for image, seed in zip(inputs, seeds, strict=True)])
        return inputs, self._targets[chosen]


def one_hot(labels: np.ndarray) -> np.ndarray:
    """One-hot float32 (N, classes) of int (N,) labels."""
    return np.asarray(np.eye(len(LABELS), dtype=np.float32)[labels])


def predict(model: keras.Model, images: np.ndarray, *, batch_size: int = 32, task: str) -> np.ndarray:
    """Runs a model over images in batches of one size, so that it is compiled once.

    Args:
        model: A model with one output.
        images: uint8 (N, 299, 299, 1), N at least 1.
        batch_size: Images at a time; the last batch is filled up by repetition, its surplus dropped.
        task: What the progress bar says.

    Returns:
        float32 (N, …), the model's output.
    """
    outputs = []
    for start in progress.track(range(0, len(images), batch_size), description=task):
        batch = np.asarray(images[start : start + batch_size])
        indices = np.minimum(np.arange(batch_size), len(batch) - 1)
        outputs.append(np.asarray(model.predict_on_batch(batch[indices]))[: len(batch)])
    return np.concatenate(outputs)
