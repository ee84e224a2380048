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
from cxr_keras3.run.folder import EVALUATION, GATE, REFERENCE, REPORT, Run
from tests.conftest import ROOT
from tools import make_reference

FILES = sorted(path for path in REFERENCE.rglob("*") if path.is_file())


def test_it_is_small_and_holds_no_picture() -> None:
    assert sum(file.stat().st_size for file in FILES) <= 5_000_000
    assert {file.suffix for file in FILES} <= {".json", ".csv", ".md", ".txt", ".npz", ".xml", ".bin", ".keras"}
    assert "not a medical device" in (REFERENCE / "LICENSE.txt").read_text()


def test_it_says_nothing_of_where_it_was_made() -> None:
    manifest = Run.open(REFERENCE).manifest
    assert Path(manifest.config["weights"]).name == manifest.config["weights"]
    for file in FILES:
        if file.suffix in {".json", ".md", ".csv"}:
            assert not re.search(r"""(^|[\s"'(=])(/\w+/|[A-Z]:\\)""", file.read_text())


def test_its_licence_names_what_training_started_from() -> None:
    assert Run.open(REFERENCE).manifest.config["backbone"] in (REFERENCE / "LICENSE.txt").read_text(encoding="utf-8")


def test_its_card_says_what_its_evaluation_found() -> None:
    measured = json.loads((REFERENCE / "evaluation" / "metrics.json").read_text())
    header = (REFERENCE / "README.md").read_text().split("---")[1]
    (result,) = yaml.safe_load(header)["model-index"][0]["results"]
    for row in result["metrics"]:
        assert row["value"] == pytest.approx(measured[row["type"]]["value"], abs=1e-4)
    assert measured["synthetic"] is False
    with (REFERENCE / "evaluation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == pytest.approx(measured["answers"]["accuracy"]["value"], abs=1e-9)


def test_it_answers_where_no_model_is_named(film: Path, run_python) -> None:
    done = run_python("-m", "cxr_keras3.predict", film)
    assert f"model: {REFERENCE}, OpenVINO" in done.stderr
    (found,) = serving.load(REFERENCE).predict([film])
    assert (found.model, found.accepted) == ("reference", done.returncode == 0)


def test_its_gate_refuses_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 299, 299), dtype=np.uint8)
    assert all(not found.accepted for found in serving.load(REFERENCE).predict(noise))
    assert Run.open().gate.threshold > 0


def test_what_is_found_out_about_it_goes_elsewhere(tmp_path: Path) -> None:
    assert Run.open().results_folder == Path("runs") / "reference"
    assert Run(tmp_path, Run.open().manifest).results_folder == tmp_path
    with pytest.raises(UserError, match="belongs to the installation; copy"):
        evaluate.main(["--sensitivity", "0.9"])
    with pytest.raises(UserError, match="belongs to the installation; copy"):
        evaluate.main([os.path.relpath(REFERENCE), "--sensitivity", "0.9"])


def test_the_project_ships_it() -> None:
    patterns = (ROOT / "pyproject.toml").read_text()
    for file in FILES:
        assert f'"reference/{file.relative_to(REFERENCE).parent.as_posix()}'.rstrip("/.") in patterns


def test_the_tool_ships_what_serves_and_harms_nothing_on_a_mistake(tmp_path: Path) -> None:
    run = Path(shutil.copytree(REFERENCE, tmp_path / "run"))
    (run / EVALUATION / REPORT).write_text("films")
    out = tmp_path / "shipped"
    make_reference.main([str(run), "--output", str(out)])
    shipped = {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert shipped == {file.relative_to(REFERENCE): file.read_bytes() for file in FILES}
    (run / GATE).unlink()
    with pytest.raises(UserError, match="must be trained and evaluated to the end"):
        make_reference.main([str(run), "--output", str(out)])
    assert (out / GATE).exists()
