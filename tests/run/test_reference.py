"""The model that comes with the package: whole, small, free of films, and the default."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from cxr_keras3 import evaluate, serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact, gate
from tests.conftest import ROOT
from tools import make_reference

FILES = sorted(path for path in artifact.REFERENCE.rglob("*") if path.is_file())


def test_it_is_small_and_holds_no_picture() -> None:
    assert sum(file.stat().st_size for file in FILES) <= 5_000_000
    assert {file.suffix for file in FILES} <= {".json", ".csv", ".md", ".txt", ".npz", ".xml", ".bin"}
    assert "not a medical device" in (artifact.REFERENCE / "LICENSE.txt").read_text()


def test_it_says_nothing_of_where_it_was_made() -> None:
    manifest = artifact.load_manifest(artifact.REFERENCE)
    assert Path(manifest.config["weights"]).name == manifest.config["weights"]
    for file in FILES:
        if file.suffix in {".json", ".md", ".csv"}:
            assert not re.search(r"""(^|[\s"'(=])(/\w+/|[A-Z]:\\)""", file.read_text())


def test_its_licence_names_what_training_started_from() -> None:
    assert artifact.load_manifest(artifact.REFERENCE).config["backbone"] in (
        artifact.REFERENCE / "LICENSE.txt"
    ).read_text(encoding="utf-8")


def test_its_card_says_what_its_evaluation_found() -> None:
    measured = json.loads((artifact.REFERENCE / "evaluation" / "metrics.json").read_text())
    header = (artifact.REFERENCE / "README.md").read_text().split("---")[1]
    (result,) = yaml.safe_load(header)["model-index"][0]["results"]
    for row in result["metrics"]:
        assert row["value"] == pytest.approx(measured[row["type"]]["value"], abs=1e-4)
    assert measured["synthetic"] is False
    with (artifact.REFERENCE / "evaluation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == pytest.approx(measured["accuracy"]["value"], abs=1e-9)


def test_it_answers_where_no_model_is_named(film: Path, run_python) -> None:
    done = run_python("-m", "cxr_keras3.predict", film)
    assert f"model: {artifact.REFERENCE}, OpenVINO" in done.stderr
    (found,) = serving.load(artifact.REFERENCE).predict([film])
    assert (found.model, found.accepted) == ("reference", done.returncode == 0)


def test_its_gate_refuses_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 299, 299), dtype=np.uint8)
    assert all(not found.accepted for found in serving.load(artifact.REFERENCE).predict(noise))
    assert gate.load(artifact.REFERENCE / artifact.GATE).threshold > 0


def test_what_is_found_out_about_it_goes_elsewhere(tmp_path: Path) -> None:
    assert artifact.results_dir(artifact.REFERENCE) == Path("runs") / "reference"
    assert artifact.results_dir(tmp_path) == tmp_path
    with pytest.raises(UserError, match="belongs to the installation; copy"):
        evaluate.main(["--sensitivity", "0.9"])
    with pytest.raises(UserError, match="belongs to the installation; copy"):
        evaluate.main([os.path.relpath(artifact.REFERENCE), "--sensitivity", "0.9"])


def test_the_project_ships_it() -> None:
    patterns = (ROOT / "pyproject.toml").read_text()
    for file in FILES:
        assert f'"reference/{file.relative_to(artifact.REFERENCE).parent.as_posix()}'.rstrip("/.") in patterns


def test_the_tool_ships_what_serves_and_harms_nothing_on_a_mistake(tmp_path: Path) -> None:
    run = Path(shutil.copytree(artifact.REFERENCE, tmp_path / "run"))
    (run / artifact.MODEL).write_text("weights to train on")
    (run / artifact.EVALUATION / artifact.REPORT).write_text("films")
    out = tmp_path / "shipped"
    make_reference.main([str(run), "--output", str(out)])
    shipped = {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert shipped == {file.relative_to(artifact.REFERENCE): file.read_bytes() for file in FILES}
    (run / artifact.GATE).unlink()
    with pytest.raises(UserError, match="must be trained and evaluated to the end"):
        make_reference.main([str(run), "--output", str(out)])
    assert (out / artifact.GATE).exists()
