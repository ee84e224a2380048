"""Finds a collection's builder by its name, and its dataset where it is built."""

import importlib
from pathlib import Path

from cxr_keras3.base.errors import UserError
from tfds_cxr.collections import NAMES
from tfds_cxr.collections.building import CollectionBuilder


def builder_class(name: str) -> type[CollectionBuilder]:
    """The builder of a collection.

    Raises:
        UserError: Where there is none of that name.
    """
    if name not in NAMES:
        raise UserError(f"a collection must be one of {', '.join(NAMES)}; received {name!r}")
    found: type[CollectionBuilder] = importlib.import_module(f"tfds_cxr.{name}.{name}_dataset_builder").Builder
    return found


def find(name: str, data_dir: Path | None) -> CollectionBuilder:
    """The built dataset of a collection.

    Args:
        name: One of `NAMES`.
        data_dir: The `--data_dir` of `tfds build`; TFDS's default when None.

    Raises:
        UserError: Where there is no such collection, or it is not built.
    """
    builder = builder_class(name)(data_dir=data_dir)
    if not builder.is_prepared():
        raise UserError(
            f"the collection {name} must be built, there is none in {builder.data_path}; run tfds build "
            f"tfds_cxr/{name} --manual_dir DIR, or pass the --data-dir that it was built with"
        )
    return builder
