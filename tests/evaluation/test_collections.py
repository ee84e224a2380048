"""A run on whole collections: what is left out, what is counted, what is written."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from cxr_keras3 import evaluate
from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import collections
from cxr_keras3.run.folder import MANIFEST, MODEL_CARD, REPORT, Run
from tests.tfds_cxr import copies_of_collections as copies
from tfds_cxr.collections import finding


def built(name: str, folder: Path) -> None:
    copies.WRITERS[name](folder / name)
    copies.build(name, folder / name, folder / "data")


def test_collections_are_measured_without_what_the_database_holds(
    demo_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("nih", "vindr"):
        built(name, tmp_path)
    folder = Path(shutil.copytree(demo_run, tmp_path / "run"))
    described = {"dataset": "tfds_cxr", "version": "2.0.0", "counts": {"train": {"COVID": 1}}}
    manifest = Run.open(folder).manifest
    manifest = dataclasses.replace(manifest, data={**manifest.data, **described}, packages={"keras": "3"})
    records.write(folder / MANIFEST, manifest)
    assert evaluate.main([str(folder), "--collection", "nih", "vindr", "--data-dir", str(tmp_path / "data")]) == 0
    found = Run.open(folder).collections
    assert found is not None
    nih, vindr = found.collections
    # Of three films one is the database's Lung_Opacity-1, and another of the same patient.
    assert (nih.films, nih.left_out.overlaps, nih.left_out.of_known_patients) == (1, 1, 1)
    assert "1 of the database, 1 of its patients" in " ".join(capsys.readouterr().err.split())
    assert {name: part.films for name, part in nih.by_label.items()} == {"abnormal, none of these": 1}
    assert nih.flag.auroc.value is None  # no normal film is left
    assert {name: part.films for name, part in vindr.by_label.items()} == {
        "Lung_Opacity": 2, "Normal": 1, "abnormal, none of these": 1
    }  # fmt: skip
    assert vindr.left_out.overlaps == 0
    assert vindr.flag.auroc.value is not None
    # The drawn run calls everything COVID, flags everything, and withholds nothing.
    assert (vindr.false_covid.value, vindr.flag.sensitivity.value, vindr.flag.specificity.value) == (1, 1, 0)
    assert vindr.by_label["Normal"].named_covid.value == 1
    assert set(vindr.differences) == {"distance", "abnormal_score"}
    assert "VinDr-CXR" in (folder / "collections" / REPORT).read_text()
    card = (folder / MODEL_CARD).read_text()
    assert "| NIH ChestX-ray14 | 1, 1 | 1, 1 |" in card
    assert "| vindr: Normal | 1 | 1.00" in card
    # Had it been trained on VinDr's films, only those held out would be measured: two of four.
    learnt = {"collections": {"vindr": {"patients_of": ["vindr"], "films": {"train": 2}}}}
    records.write(folder / MANIFEST, dataclasses.replace(manifest, data={**manifest.data, **learnt}))
    builders = [finding.find("vindr", tmp_path / "data")]
    (rest,) = collections.evaluate(Run.open(folder), builders, output_dir=tmp_path / "out").collections
    assert (rest.films, rest.left_out.trained_on) == (2, 2)


def test_a_collection_of_which_nothing_is_left_is_refused(demo_run: Path, tmp_path: Path) -> None:
    built("covid_cxnet", tmp_path)  # its three films are the database's, by their names
    with pytest.raises(UserError, match="covid_cxnet holds none"):
        collections.evaluate(
            Run.open(demo_run), [finding.find("covid_cxnet", tmp_path / "data")], output_dir=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
