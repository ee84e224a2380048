"""The build's work on single images as Apache Beam pipelines, for more images than one machine gets through.

Two passes over the images, since workers share no file in which encoded images could wait: the first gives the facts
by which groups and splits are made, here and at once; the second decodes again and yields the examples. What is
written is what the build on one machine writes: TFDS sorts by the hash of the key in either case.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineRunner
from etils import epath

from cxr_keras3 import images
from cxr_keras3.base import progress
from tfds_cxr import preparation
from tfds_cxr.database import DatabaseError, DatabaseFile
from tfds_cxr.preparation import Example, ImageFacts, Record

_FACTS = "facts"
_LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class Prepared:
    """All records.

    Attributes:
        records: In the order of the files.
    """

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def examples(self, split: str) -> beam.PTransform:
        """Every image of a split, see `Record.example`."""
        chosen = [record for record in self.records if record.split == split]
        return beam.Create(chosen) | beam.Reshuffle() | beam.Map(_example)


def prepare(
    files: Sequence[DatabaseFile],
    *,
    folder: epath.Path,
    runner: PipelineRunner | None,
    options: PipelineOptions | None,
) -> Prepared:
    """Reads all files on the workers; checks, groups and splits them here.

    Args:
        files: The `files` of `database.list_files`, which all workers must see under the same paths.
        folder: Where the workers leave the facts; they must all see it too. Nothing is left there.
        runner: Beam's runner; what `options` say when None.
        options: Beam's. Where nothing names a runner they are made to name the one that is part of Beam for Python.

    Raises:
        DatabaseError: Where the files are in a zip; else see `preparation.assign`.
    """
    if not all(isinstance(file.path, Path) for file in files):
        raise DatabaseError(
            "on Beam the database must be a folder, received a zip, which workers cannot share; unzip it"
        )
    if runner is None and options is not None and options.view_as(StandardOptions).runner is None:
        # Beam's own default tries another first, a program that it downloads from GitHub.
        options.view_as(StandardOptions).runner = _LOCAL_RUNNER
    progress.say(f"reading {len(files):,} images on Beam")
    found = folder / _FACTS
    found.mkdir()
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(list(enumerate(files)))
            | beam.Reshuffle()
            | beam.MapTuple(_facts)
            | beam.io.WriteToText(str(found / _FACTS))
        )
    facts = dict(_read(line) for part in found.iterdir() for line in part.read_text().splitlines())
    found.rmtree()
    return Prepared(preparation.assign(files, [facts[index] for index in range(len(files))]))


def _facts(index: int, file: DatabaseFile) -> str:
    """The facts of a file, or why it has none, as a line of JSON, which keeps float32 exactly."""
    decoded = preparation.decode(file)
    if isinstance(decoded, images.ImageError):
        return json.dumps([index, str(decoded)])
    known = decoded[2]
    return json.dumps([index, known.original_mode, known.pixel_sha256, known.fingerprint.tolist()])


def _read(line: str) -> tuple[int, ImageFacts | images.ImageError]:
    """What `_facts` wrote."""
    index, *known = json.loads(line)
    if len(known) == 1:
        return index, images.ImageError(known[0])
    original_mode, pixel_sha256, fingerprint = known
    return index, ImageFacts(original_mode, pixel_sha256, np.array(fingerprint, dtype=np.float32))


def _example(record: Record) -> Example:
    decoded = preparation.decode(record.file)
    if isinstance(decoded, images.ImageError):
        raise decoded  # it could be read a moment ago
    image_png, mask_png, _ = decoded
    return record.example(image_png, mask_png)
