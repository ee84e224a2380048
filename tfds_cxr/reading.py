"""Finds and reads a built dataset, in both of the file formats that TFDS writes it in."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def find(data_dir: Path | None) -> Builder:
    """The dataset that is built in a folder.

    Args:
        data_dir: The `--data_dir` of `tfds build tfds_cxr`; TFDS's default when None.

    Raises:
        UserError: Where there is none.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise UserError(
            f"the data folder must exist, received {data_dir}; pass the --data-dir that tfds build was given"
        )
    builder = Builder(data_dir=data_dir)
    if not builder.is_prepared():
        raise UserError(
            f"the data folder must hold the built dataset, there is none in {builder.data_path}; run "
            "tfds build tfds_cxr, or pass the --data-dir that it was built with"
        )
    return builder


def read(
    builder: tfds.core.DatasetBuilder, split: str, *, encoded: Collection[str] = ()
) -> Iterable[Mapping[str, Any]]:
    """Reads the examples of a split one at a time, in the dataset's own fixed order.

    Args:
        builder: From `find`, or that of a collection.
        split: "train", "validation" or "test".
        encoded: Image features to leave as PNG bytes rather than decode, where the dataset has them.
    """
    decoders = {name: tfds.decode.SkipDecoding() for name in encoded if name in builder.info.features}
    examples: Iterable[Mapping[str, Any]]
    if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:  # which as_dataset does not read
        examples = builder.as_data_source(split, decoders=decoders)
    else:
        selection.keep_tensorflow_off_accelerators()
        uncached = tfds.ReadConfig(try_autocache=False)  # each image is read once; TFDS would keep them all
        dataset = builder.as_dataset(split=split, decoders=decoders, read_config=uncached)
        examples = tfds.as_numpy(dataset)
    return examples
