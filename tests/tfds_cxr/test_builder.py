"""The TFDS builder: what it builds, from what, and what it refuses."""

import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cxr_keras3 import images
from tfds_cxr import phantom, summary
from tfds_cxr.database import DatabaseError
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import Builder

FOLDER = "COVID-19_Radiography_Dataset"


def build(manual_dir: Path, data_dir: Path, **options: str) -> Builder:
    builder = Builder(data_dir=data_dir, **options)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def examples(builder: Builder) -> dict[str, dict]:
    """Every example by key, with the split it is in."""
    found = {}
    for split in builder.info.splits:
        for example in builder.as_data_source(split):
            found[example["image_id"].decode()] = example | {"split": split}
    return found


@pytest.fixture(scope="module")
def built(database_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return build(database_dir, tmp_path_factory.mktemp("array_record"), file_format="array_record")


class DatasetTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks of shapes, splits, registration and reading back."""

    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 29, "validation": 9, "test": 2}
    EXAMPLE_DIR = os.path.join(os.environ.get("TMPDIR", "/tmp"), "tfds_cxr_example")  # noqa: PTH118, S108

    @classmethod
    def setUpClass(cls) -> None:
        shutil.rmtree(cls.EXAMPLE_DIR, ignore_errors=True)
        phantom.write_database(Path(cls.EXAMPLE_DIR), per_class=10, seed=0)
        super().setUpClass()


def test_images_are_the_canonical_form_of_the_files_bit_for_bit(built: Builder, database_dir: Path) -> None:
    found = examples(built)
    for label in LABELS:
        for file in (database_dir / FOLDER / label / "images").iterdir():
            expected = images.canonical(images.decode(file).pixels)
            np.testing.assert_array_equal(found[file.stem]["image"], expected)
            assert built.info.features["label"].int2str(found[file.stem]["label"]) == label


def test_tfrecord_and_array_record_give_the_same(built: Builder, data_dir: Path) -> None:
    expected = examples(built)
    seen = Counter()
    for split in ("train", "validation", "test"):
        for example in tfds.as_numpy(Builder(data_dir=data_dir).as_dataset(split=split)):
            other = expected[example["image_id"].decode()]
            assert other["split"] == split
            for key, value in example.items():
                np.testing.assert_array_equal(value, other[key], err_msg=key)
            seen[split] += 1
    assert sum(seen.values()) == len(expected)


def test_a_zip_gives_the_same_dataset(built: Builder, database_dir: Path, tmp_path: Path) -> None:
    manual_dir = tmp_path / "manual"
    manual_dir.mkdir()
    with zipfile.ZipFile(manual_dir / "archive.zip", "w") as archive:
        for path in sorted(database_dir.rglob("*")):
            archive.write(path, path.relative_to(database_dir))
    again = examples(build(manual_dir, tmp_path / "data", file_format="array_record"))
    expected = examples(built)
    assert again.keys() == expected.keys()
    for key, example in again.items():
        for feature, value in example.items():
            np.testing.assert_array_equal(value, expected[key][feature], err_msg=feature)


def test_splits_are_near_70_15_15_in_every_class(built: Builder) -> None:
    found = examples(built)
    for label in range(len(LABELS)):
        splits = Counter(example["split"] for example in found.values() if example["label"] == label)
        total = sum(splits.values())
        assert min(splits[split] for split in ("train", "validation", "test")) >= 1
        assert abs(splits["train"] / total - 0.70) < 0.20, splits


def test_colour_mode_is_no_clue(database_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    file = next((copy / FOLDER / "Viral Pneumonia" / "images").iterdir())
    grey = np.asarray(Image.open(file).convert("L"))
    Image.fromarray(grey).convert("RGB").save(file)
    found = examples(build(copy, tmp_path / "data", file_format="array_record"))
    np.testing.assert_array_equal(found[file.stem]["image"][..., 0], grey)
    assert found[file.stem]["original_mode"] == b"RGB"


def test_missing_masks_are_said_and_empty(database_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    shutil.rmtree(copy / FOLDER / "COVID" / "masks")
    found = examples(build(copy, tmp_path / "data", file_format="array_record"))
    for example in found.values():
        assert example["has_mask"] == (example["label"] != LABELS.index("COVID"))
        assert set(np.unique(example["mask"])) == ({0, 255} if example["has_mask"] else {0})


def test_all_unusable_files_are_named_and_nothing_is_left_behind(database_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    files = sorted((copy / FOLDER / "Normal" / "images").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:2000])
    files[1].write_text("this is no image")
    Image.new("L", (20_000, 20_000)).save(files[2], compress_level=1)
    with pytest.raises(DatabaseError, match="3 of 120") as error:
        build(copy, tmp_path / "data")
    for file in files[:3]:
        assert file.name in str(error.value)
    assert files[3].name not in str(error.value)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
    assert not Builder(data_dir=tmp_path / "data").is_prepared()


def test_missing_files_are_said_and_listed_and_the_rest_is_built(
    database_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    gone = sorted((copy / FOLDER / "Normal" / "images").iterdir())[:23]
    for file in gone:
        file.unlink()
    builder = build(copy, tmp_path / "data", file_format="array_record")
    said = " ".join(capsys.readouterr().err.split())
    assert "23 files that the metadata names are missing" in said
    assert "Normal 7 of 10,192" in said
    assert "and 3 more; all are listed in missing_files.txt" in said
    listed = (Path(builder.data_path) / summary.MISSING).read_text().splitlines()
    assert sorted(name.casefold() for name in listed) == sorted(f"normal/{file.stem.casefold()}" for file in gone)
    assert builder.info.metadata["missing"] == 23
    assert len(examples(builder)) == 97


def test_a_copy_too_small_to_split_is_refused(tmp_path: Path) -> None:
    phantom.write_database(tmp_path / "small", per_class=1, seed=0)
    with pytest.raises(DatabaseError, match="every split must get an image"):
        build(tmp_path / "small", tmp_path / "data")


@pytest.mark.shared_data
def test_real_originals_build(shared_data: Path, tmp_path: Path) -> None:
    builder = build(shared_data / "radiography_299_sample", tmp_path, file_format="array_record")
    found = examples(builder)
    assert len(found) == 160
    modes = Counter(example["original_mode"] for example in found.values())
    assert modes == {b"L": 150, b"RGB": 10}
    for example in found.values():
        label = LABELS[example["label"]]
        file = shared_data / "radiography_299_sample" / FOLDER / label / "images" / example["filename"].decode()
        np.testing.assert_array_equal(example["image"][..., 0], np.asarray(Image.open(file).convert("L")))
