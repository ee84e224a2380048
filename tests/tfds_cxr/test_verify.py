"""Checking the recovered patients by pixels: right originals agree, a wrong one is named, damage is counted."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_keras3.base.errors import UserError
from tests import image_files
from tfds_cxr import phantom, provenance, verify

NAMES = ("Lung_Opacity-1", "Normal-1404")
OTHERS = ("COVID-1", "Viral Pneumonia-1")


@pytest.fixture
def films(tmp_path: Path) -> dict[str, np.ndarray]:
    """A copy of the database in which phantoms have published names, and their larger originals' pixels."""
    drawn = {}
    for number, name in enumerate((*NAMES, *OTHERS)):
        label = name.rpartition("-")[0]
        pixels = phantom.draw(label, seed=0, index=number)[0]
        folder = tmp_path / "copy" / "COVID-19_Radiography_Dataset" / label / "images"
        folder.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        drawn[name] = np.asarray(Image.fromarray(pixels).resize((1024, 1024), Image.Resampling.BICUBIC))
    return drawn


def run(tmp_path: Path, originals: Path) -> tuple[int, list[dict[str, str]]]:
    code = verify.main([str(tmp_path / "copy"), str(originals), "--output", str(tmp_path / "found.csv")])
    with (tmp_path / "found.csv").open(newline="") as file:
        return code, list(csv.DictReader(file))


def test_originals_of_nih_and_rsna_agree(tmp_path: Path, films: dict[str, np.ndarray]) -> None:
    originals = tmp_path / "originals"
    (originals / "deeper").mkdir(parents=True)
    opacity, normal = (provenance.load()[name] for name in NAMES)
    Image.fromarray(films[NAMES[0]]).save(originals / "deeper" / opacity.nih_file)
    dicom = image_files.dicom(films[NAMES[1]].astype(np.uint16) * 16, bits=12)
    (originals / f"{normal.rsna_id}.dcm").write_bytes(dicom)
    Image.fromarray(films[NAMES[0]]).save(originals / "of another study.png")
    code, rows = run(tmp_path, originals)
    assert code == 0
    assert {(row["image_id"], row["patient_id"], row["result"]) for row in rows} == {
        (NAMES[0], opacity.patient_id, "same film"),
        (NAMES[1], normal.patient_id, "same film"),
    }


def test_another_film_is_named_and_the_exit_code_says_so(
    tmp_path: Path, films: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    originals = tmp_path / "originals"
    originals.mkdir()
    Image.fromarray(films[NAMES[1]]).save(originals / provenance.load()[NAMES[0]].nih_file)
    code, (row,) = run(tmp_path, originals)
    assert code == 1
    assert row["result"] == "another film"
    assert f"is not {NAMES[0]}" in capsys.readouterr().err


def test_damage_is_counted_and_no_proof_against(tmp_path: Path, films: dict[str, np.ndarray]) -> None:
    originals = tmp_path / "originals"
    originals.mkdir()
    (originals / provenance.load()[NAMES[0]].nih_file).write_bytes(b"torn")
    code, (row,) = run(tmp_path, originals)
    assert code == 0
    assert row["similarity"] == ""
    assert row["result"] not in ("same film", "another film")


def test_folders_without_originals_are_refused(tmp_path: Path, films: dict[str, np.ndarray]) -> None:
    with pytest.raises(UserError, match="must hold originals"):
        verify.main([str(tmp_path / "copy"), str(tmp_path / "copy")])
    with pytest.raises(UserError, match="must be folders"):
        verify.main([str(tmp_path / "copy"), str(tmp_path / "nowhere")])
