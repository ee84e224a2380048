"""The dataset as Apache Beam builds it is the one that is built without."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions

from tests.conftest import IMAGES_PER_CLASS
from tfds_cxr import database, distributed, preparation
from tfds_cxr.database import DatabaseError
from tfds_cxr.tfds_cxr_dataset_builder import Builder

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def build(manual_dir: Path, data_dir: Path, *beam: str) -> Builder:
    builder = Builder(data_dir=data_dir, file_format="array_record")
    options = PipelineOptions(list(beam)) if beam else None
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, beam_options=options)
    builder.download_and_prepare(download_config=config)
    return builder


def test_two_processes_build_what_one_builds_example_by_example(database_dir: Path, tmp_path: Path) -> None:
    assert images_built_alike(database_dir, tmp_path) == 4 * IMAGES_PER_CLASS


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_images_are_built_alike(shared_data: Path, tmp_path: Path) -> None:
    assert images_built_alike(shared_data / "radiography_256", tmp_path) == 4840


def images_built_alike(manual_dir: Path, folder: Path) -> int:
    alone = build(manual_dir, folder / "alone")
    together = build(manual_dir, folder / "together", *TWO_PROCESSES)
    assert together.info.metadata == alone.info.metadata
    total = 0
    for split in alone.info.splits:
        expected, found = alone.as_data_source(split), together.as_data_source(split)
        assert len(found) == len(expected)
        for one, other in zip(expected, found, strict=True):  # in the order in which they lie on the disk
            for key, value in one.items():
                np.testing.assert_array_equal(other[key], value, err_msg=key)
        total += len(found)
    assert {path.name for path in together.data_path.iterdir()} == {path.name for path in alone.data_path.iterdir()}
    return total


def test_a_zip_is_refused_since_workers_cannot_share_it(database_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    with zipfile.ZipFile(tmp_path / "manual" / "archive.zip", "w") as archive:
        for path in sorted(database_dir.rglob("*")):
            archive.write(path, path.relative_to(database_dir))
    with pytest.raises(DatabaseError, match="unzip it"):
        build(tmp_path / "manual", tmp_path / "data", "--direct_num_workers=1")


def test_facts_travel_unchanged_and_so_do_reasons(database_dir: Path, tmp_path: Path) -> None:
    file = database.list_files(database_dir / "COVID-19_Radiography_Dataset").files[0]
    real = dataclasses.replace(file, url="")  # of a phantom no fingerprint is taken
    index, facts = distributed._read(distributed._facts(7, real))
    *_, expected = preparation.decode(real)
    assert (index, facts.original_mode, facts.pixel_sha256) == (7, expected.original_mode, expected.pixel_sha256)
    np.testing.assert_array_equal(facts.fingerprint, expected.fingerprint, strict=True)
    (tmp_path / "bad.png").write_text("text")
    index, reason = distributed._read(distributed._facts(8, dataclasses.replace(real, path=tmp_path / "bad.png")))
    assert (index, str(reason)) == (8, str(preparation.decode(dataclasses.replace(real, path=tmp_path / "bad.png"))))
