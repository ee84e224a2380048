"""The built dataset as arrays: builds it where it is missing, reads a split, feeds batches."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow_datasets as tfds

from cxr_keras3.base import progress
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.images.augment import as_row, augment, draw
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.run import abnormality
from cxr_keras3.run.calibration import NORMAL
from cxr_keras3.training.config import ClassBalance
from tfds_cxr import database
from tfds_cxr.labels import LABELS
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder

SPLITS = ("train", "validation", "test")
Augmentation = Literal["none", "host", "device"]
Redraw = Callable[[int, tuple[int, int, int]], np.ndarray]
"""Gives a training image, uint8 (299, 299, 1), by its position and a seed (run, epoch, position)."""
VALIDATION_BATCH = 32
_BATCHES_AHEAD = 6


@dataclass(frozen=True)
class Split:
    """One split of the dataset in memory, 89 kB an image: 1.9 GB for all 21,165.

    Attributes:
        images: uint8 (N, 299, 299, 1).
        labels: int64 (N,), indices into `LABELS`.
        image_ids: (N,), the file names without ending.
        group_ids: (N,), images of one group are of one patient or near-duplicates of each other.
        sources: (N,), the recovered collection each image comes from; "unknown" where it is not.
        patient_ids: (N,), the patient with the collection that names them; empty where unknown.
        ages: float32 (N,), in years; NaN where unknown.
        sexes: (N,), "F" or "M"; empty where unknown.
        views: (N,), "AP" or "PA"; empty where unknown.
    """

    images: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    group_ids: np.ndarray
    sources: np.ndarray
    patient_ids: np.ndarray
    ages: np.ndarray
    sexes: np.ndarray
    views: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def strata(self) -> np.ndarray:
        """Source and view of each image, (N,) text: what is balanced within a class."""
        return np.char.add(np.char.add(self.sources, "/"), self.views)

    def subset(self, chosen: np.ndarray) -> "Split":
        """The images at the given positions, or where a bool (N,) is true."""
        return Split(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


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
    if manual_dir is not None:
        database.require_folder(manual_dir)  # TFDS takes a missing one for an empty one, and would download
    builder = Builder(data_dir=data_dir)
    if builder.is_prepared():
        if manual_dir is not None:
            _check_same_files(builder, manual_dir)
        return builder
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def _check_same_files(builder: Builder, manual_dir: Path) -> None:
    with database.opened(manual_dir) as root:
        fingerprint = database.listing_fingerprint(database.list_files(root).files)
    if fingerprint != builder.info.metadata["listing_fingerprint"]:
        raise UserError(
            f"the dataset in {builder.data_path} was built from other files than those in {manual_dir}; "
            "leave out --manual-dir to use it, or pass another --data-dir to build anew"
        )


def load_split(
    builder: tfds.core.DatasetBuilder,
    split: str,
    *,
    showing: Showing | None = None,
    taken: frozenset[str] | None = None,
) -> Split:
    """Reads one split into memory, in the dataset's own fixed order.

    Args:
        builder: From `prepare`, or that of a collection.
        split: One of `SPLITS`.
        showing: What of each image the model is shown; all of it when None. Where that is a region, images on which no
            lung is found are left out, and counted in a line on the terminal.
        taken: Names of the images to read; all when None.
    """
    count = builder.info.splits[split].num_examples if taken is None else len(taken)
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.uint8)
    rows: list[Mapping[str, Any]] = []
    examples = read(builder, split, encoded=("mask",))
    if taken is not None:
        examples = (row for row in examples if row["image_id"].decode() in taken)
    for example, image in showing.shown(examples) if showing else ((row, row["image"]) for row in examples):
        images[len(rows)] = image
        rows.append({key: value for key, value in example.items() if key not in ("image", "mask")})

    def text(key: str) -> np.ndarray:
        return np.array([row[key].decode() for row in rows], dtype=np.str_)

    labels = np.array([row["label"] for row in rows], dtype=np.int64)
    if len(rows) < count:
        progress.say(f"no lungs are found on {count - len(rows):,} of {count:,} {split} images, which are left out")
    return Split(
        images=images[: len(rows)],
        labels=labels,
        image_ids=text("image_id"),
        group_ids=text("group_id"),
        sources=text("source"),
        patient_ids=text("patient_id"),
        ages=np.array([row["age"] for row in rows], dtype=np.float32),
        sexes=text("sex"),
        views=text("view"),
    )


def fit_abnormality(features: np.ndarray, split: Split) -> abnormality.Abnormality:
    """What says whether a film is abnormal, fitted on the pooled features, (N, C), of a split not trained on."""
    return abnormality.fit(
        features,
        split.labels,
        sources=split.sources,
        views=split.views,
        groups=split.group_ids,
        normal=LABELS.index(NORMAL),
        class_count=len(LABELS),
    )


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


def _shares(labels: np.ndarray, strata: np.ndarray | None, class_balance: ClassBalance) -> np.ndarray | None:
    """How often to draw each image, float64 (N,), a sum of 1; None where each is taken once.

    Classes are drawn alike, and with "strata" their strata by the root of their size: equal shares would show the three
    films of the smallest source again and again.
    """
    if class_balance not in ("sampling", "strata"):
        return None
    _, classes = np.unique(labels, return_inverse=True)
    cells = classes.astype(np.str_)
    if class_balance == "strata" and strata is not None:
        cells = np.char.add(cells, strata)
    _, cell, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    shares = 1.0 / np.sqrt(sizes[cell])
    shares /= np.bincount(classes, weights=shares)[classes]
    return np.asarray(shares / shares.sum())


def steps_per_epoch(image_count: int, batch_size: int) -> int:
    """Full batches in an epoch; what does not fill one is left for another epoch, so the step is compiled once."""
    return image_count // min(batch_size, image_count)


def batches(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation = "none",
    class_balance: ClassBalance = "none",
    first_epoch: int = 0,
    process: tuple[int, int] = (0, 1),
    strata: np.ndarray | None = None,
    redraw: Redraw | None = None,
    targets: np.ndarray | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Endless shuffled batches for `Model.fit`: inputs (batch_size, …), targets float32 (batch_size, classes), weights.

    Order and augmentation depend on (seed, epoch, position) alone, whatever the number of threads, and of
    processes: each gets its share of the same batch. A generator and not a `PyDataset`, whose threads may ask for
    the next epoch's batches before they are told that it has begun.

    Args:
        inputs: (views, N, …): images uint8, or features. Epoch after epoch, views are used in turn.
        labels: int (N,).
        batch_size: Images a step, over all processes.
        seed: Decides order and augmentation.
        augmentation: "host" changes images here; "device" adds the changes to the inputs, for a model of
            `augment_on_device.training_model`.
        class_balance: "weights" adds each image's `class_weights` as float32 (batch_size,); "sampling" draws the
            classes equally often, rare ones repeatedly, in place of each image once; "strata" their sources and
            views, too.
        first_epoch: The epoch to begin with.
        process: This process's number, and how many there are.
        strata: (N,), what is drawn alike within a class by "strata".
        redraw: Gives the images in their place, before they are changed; of images only, in one view.
        targets: float32 (N, classes), probabilities to be learnt; those of the labels, 0 and 1, when None.
    """
    targets = one_hot(labels) if targets is None else targets
    weights = np.array([class_weights(labels)[label] for label in labels], dtype=np.float32)
    size, (number, count) = min(batch_size, len(labels)), process
    shares = _shares(labels, strata, class_balance)

    def positions() -> Iterator[tuple[int, np.ndarray]]:
        for epoch in itertools.count(first_epoch):
            generator = np.random.default_rng((seed, epoch))
            order = generator.permutation(len(labels))
            if shares is not None:
                order = generator.choice(len(labels), size=len(labels), p=shares)
            for step in range(steps_per_epoch(len(labels), batch_size)):
                chosen = order[step * size : (step + 1) * size]
                yield epoch, chosen[number * size // count : (number + 1) * size // count]

    def batch(position: tuple[int, np.ndarray]) -> tuple[Any, ...]:
        epoch, chosen = position
        found: Any = inputs[epoch % len(inputs)][chosen]
        seeds = [(seed, epoch, int(index)) for index in chosen]
        if redraw is not None:
            found = np.stack([redraw(int(index), own) for index, own in zip(chosen, seeds, strict=True)])
        if found.dtype == np.float16:
            found = found.astype(np.float32)
        if augmentation == "host":
            found = np.stack([augment(image, seed=own) for image, own in zip(found, seeds, strict=True)])
        elif augmentation == "device":
            found = (found, np.stack([as_row(draw(np.random.default_rng(own))) for own in seeds]))
        return (found, targets[chosen], weights[chosen]) if class_balance == "weights" else (found, targets[chosen])

    return map_ahead(batch, positions(), ahead=_BATCHES_AHEAD)


def one_hot(labels: np.ndarray) -> np.ndarray:
    """One-hot float32 (N, classes) of int (N,) labels."""
    return np.asarray(np.eye(len(LABELS), dtype=np.float32)[labels])
