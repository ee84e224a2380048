"""Reads a built dataset: the facts of every image, and the pictures of a few.

Images come one at a time and encoded, so memory does not grow with their number.
"""

import io
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base import progress
from tfds_cxr.labels import LABELS
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder

Key = tuple[str, str]
"""Class and image id, which together tell an image from every other."""

_TEXTS = ("image_id", "claimed_source", "source", "patient_id", "sex", "view", "group_id", "original_mode")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one image; see README.md for the features it is read from.

    Attributes:
        age: In years; None where unknown.
        brightness: Mean grey level, 0 to 255.
        kilobytes: Size of the image as the dataset stores it, a PNG: more detail or noise makes it larger.
    """

    label: str
    image_id: str
    split: str
    claimed_source: str
    source: str
    patient_id: str
    age: float | None
    sex: str
    view: str
    group_id: str
    original_mode: str
    has_mask: bool
    brightness: float
    kilobytes: float

    @property
    def key(self) -> Key:
        """What `pictures` knows the image by."""
        return self.label, self.image_id


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image, uint8 (299, 299), and its lung mask of 0 and 255, uint8 (256, 256), where it has one."""

    pixels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8] | None


def facts(builder: Builder) -> list[Facts]:
    """The facts of every image of the dataset."""
    return [
        Facts(
            label=_label(example),
            split=split,
            age=None if math.isnan(example["age"]) else float(example["age"]),
            has_mask=bool(example["has_mask"]),
            brightness=float(_decode(example["image"]).mean()),
            kilobytes=len(example["image"]) / 1000,
            **{name: example[name].decode() for name in _TEXTS},
        )
        for split, example in _examples(builder, description="measuring images")
    ]


def pictures(builder: Builder, keys: Collection[Key]) -> dict[Key, Picture]:
    """The images with the given `Facts.key`; only these are decoded."""
    found = {}
    for _, example in _examples(builder, description="fetching pictures"):
        key = (_label(example), example["image_id"].decode())
        if key in keys:
            mask = _decode(example["mask"]) if example["has_mask"] else None
            found[key] = Picture(_decode(example["image"]), mask)
    return found


def _examples(builder: Builder, *, description: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every example with its split, image and mask still encoded as PNG."""
    splits = builder.info.splits
    with progress.bar() as bar:
        task = bar.add_task(description, total=sum(split.num_examples for split in splits.values()))
        for split in splits:
            for example in read(builder, split, encoded=("image", "mask")):
                yield split, example
                bar.advance(task)


def _label(example: Mapping[str, Any]) -> str:
    return LABELS[example["label"]]


def _decode(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))
