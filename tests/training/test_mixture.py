"""Training on several collections: each film once, each patient in one split."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.training import runs
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.mixture import Mixture
from tests.conftest import TINY
from tests.tfds_cxr import copies_of_collections as copies
from tfds_cxr import provenance, reading, splits
from tfds_cxr.collections import finding

PATIENT = "nih:1248"  # of the database's Lung_Opacity-1, whom RSNA and NIH show too


@pytest.fixture(scope="module")
def mixed(data_dir: Path, database_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom dataset, and beside it RSNA and NIH, which holds a phantom of the former's test split."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copytree(data_dir, folder / "data")
    held_out = next(iter(reading.read(reading.find(data_dir), "test")))["image_id"].decode()
    for name in ("nih", "rsna"):
        copies.WRITERS[name](folder / name)
    (phantom,) = database_dir.rglob(f"images/{held_out}.png")
    shutil.copy(phantom, folder / "nih" / "images_003" / "images" / "00000001_000.png")
    for name in ("nih", "rsna"):
        copies.build(name, folder / name, folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def both(mixed: Path) -> Mixture:
    return Mixture.of(reading.find(mixed), ("nih", "rsna"))


def test_films_are_taken_once_and_patients_whole(both: Mixture, capsys: pytest.CaptureFixture[str]) -> None:
    alone = Mixture.of(both.builder, ())
    place = provenance.load()["Lung_Opacity-1"].split
    assert place == "train"
    loaded = both.load("train")
    added = np.flatnonzero(np.isin(loaded.sources, ("nih", "rsna")))
    assert len(added) == len(loaded) - len(alone.load("train"))
    # NIH's film of the patient, whom the database has, and its copy of the database's film; RSNA's copy is left out.
    assert [name for name in loaded.image_ids[added] if name.startswith("00001248")] == [
        "00001248_001.png", "00001248_026.png"
    ]  # fmt: skip
    copy = next(name for name, row in _rsna().items() if row.image_id == "Lung_Opacity-1")
    assert f"{copy}.dcm" not in loaded.image_ids
    assert set(loaded.group_ids[loaded.patient_ids == PATIENT]) == {provenance.load()["Lung_Opacity-1"].group}
    # A phantom under NIH's name is held by the database, whose test split it is of.
    assert "00000001_000.png" not in both.load("validation").image_ids
    assert "00000001_000.png" not in loaded.image_ids
    told = " ".join(capsys.readouterr().err.split())
    assert "1 held by the database or a collection before it" in told
    assert set(np.unique(loaded.labels)) <= {0, 1, 2, 3}


def test_a_patient_is_in_one_split_wherever_it_is_named(mixed: Path) -> None:
    found = {}
    for name in ("nih", "rsna"):
        builder = finding.find(name, mixed)
        for split in builder.info.splits:
            for row in reading.read(builder, split):
                if row["patient_id"]:
                    found.setdefault(row["patient_id"], set()).add((row["group_id"].decode(), split))
    assert all(len(places) == 1 for places in found.values())
    assert {split for _, split in found[b"nih:99999"]} == {splits.split_of_group("nih:99999")}


def test_a_mixture_says_what_it_is(both: Mixture) -> None:
    alone = Mixture.of(both.builder, ())
    assert "collections" not in alone.description
    assert alone.identity != both.identity
    described = both.description["collections"]
    assert described["nih"]["films"]["train"] == 2
    assert "nih" in described["rsna"]["patients_of"]


def test_unknown_and_missing_collections_are_refused(mixed: Path) -> None:
    with pytest.raises(UserError, match="collections must be among actualmed"):
        TrainingConfig(collections=("unheard",))
    with pytest.raises(UserError, match="the collection vindr must be built"):
        Mixture.of(reading.find(mixed), ("vindr",))


@pytest.mark.slow
def test_a_run_says_what_it_was_trained_on(mixed: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, collections=("nih", "rsna"), class_balance="strata", fine_tune="none")
    runs.train(config, builder=reading.find(mixed), run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")
    manifest = Run.open(tmp_path / "run").manifest
    assert manifest.collections == ("nih", "rsna")
    assert manifest.config["collections"] == ["nih", "rsna"]
    assert "nih" in manifest.collection_patients
    # The features kept for later runs are of these films, and no other's.
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cache").glob("*/identity.json")]
    count = (
        len(Mixture.of(reading.find(mixed), ()).load("train")) + manifest.data["collections"]["nih"]["films"]["train"]
    )
    (of_training,) = (each for each in kept if each["split"] == "train")
    assert of_training["images"] == count + manifest.data["collections"]["rsna"]["films"]["train"]
    assert [row[0] for row in of_training["collections"]] == ["cxr_nih", "cxr_rsna"]


def _rsna() -> dict[str, provenance.Provenance]:
    return {row.rsna_id: row for row in provenance.load().values() if row.rsna_id}
