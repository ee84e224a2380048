"""The commands as a user types them: what they print, what they write, how they fail."""

import contextlib
import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, run_here
from tfds_cxr.labels import LABELS


def assert_one_clear_line(done, *words: str) -> None:
    """A user's mistake ends with exit code 2 and one line that names it, after whatever progress was shown."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert done.stderr.rstrip().endswith(errors[0])
    for word in words:
        assert word in errors[0]


def probabilities_of(path: Path) -> list[float]:
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["accepted"]
    return [record["probabilities"][label] for label in LABELS]


def test_predict_prints_the_four_probabilities(run_dir: Path, film: Path, run_python) -> None:
    done = run_python("-m", "cxr_keras3.predict", "--model", run_dir, film, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    for label in LABELS:
        assert label in done.stdout
    assert done.stdout.count("0.") >= 4


def test_backends_agree_on_a_film(run_dir: Path, film: Path, tmp_path: Path, run_python) -> None:
    for backend in ("jax", "tensorflow"):
        output = tmp_path / f"{backend}.jsonl"
        done = run_python(
            "-m", "cxr_keras3.predict", "--model", run_dir, film, "--runtime", backend, "--output", output
        )
        assert done.returncode == 0, done.stderr
    first, second = (probabilities_of(tmp_path / f"{name}.jsonl") for name in ("jax", "tensorflow"))
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert sum(first) == pytest.approx(1.0)


def test_a_bad_file_among_good_ones_is_reported_and_the_rest_scored(
    run_dir: Path, film: Path, tmp_path: Path, run_python
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    shutil.copy(film, folder / "a.png")
    (folder / "b.png").write_text("this is text")
    shutil.copy(film, folder / "c.png")
    done = run_python("-m", "cxr_keras3.predict", "--model", run_dir, folder, "--output", tmp_path / "out.csv")
    assert done.returncode == 3, done.stderr
    assert "not scored" in done.stderr
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["accepted"] for row in rows] == ["True", "False", "True"]
    assert rows[1]["reject_reason"]
    assert rows[0][LABELS[0]] == rows[2][LABELS[0]]


def test_evaluate_again_gives_the_same_figures(run_dir: Path, data_dir: Path, tmp_path: Path, run_python) -> None:
    done = run_python(
        "-m", "cxr_keras3.evaluate", run_dir, "--data-dir", data_dir, "--output", tmp_path, "--runtime", "tensorflow"
    )
    assert done.returncode == 0, done.stderr
    first, again = (json.loads((folder / "metrics.json").read_text()) for folder in (run_dir / "evaluation", tmp_path))
    for name in ("accuracy", "macro_f1", "macro_auroc"):
        assert again[name]["value"] == pytest.approx(first[name]["value"], abs=0.02)


def interrupted(process: subprocess.Popen) -> int:
    """The exit code after Ctrl-C, pressed until it ends: native code that calls back may lose the first one."""
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=30)
    return process.wait(timeout=60)


def test_train_from_a_database_to_a_report_interrupted_once(database_dir: Path, tmp_path: Path, run_python) -> None:
    run = tmp_path / "run"
    command = [
        *("-m", "cxr_keras3.train", "--backend", "jax", "--backbone", "mobilenet_025", "--weights", "none"),
        *("--image-size", "32", "--head-epochs", "100", "--fine-tune", "none", "--manual-dir", database_dir),
        *("--data-dir", tmp_path / "data", "--run-dir", run),
    ]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so their own
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stderr=log)
    deadline = time.monotonic() + 240
    while not (run / "checkpoints" / "head.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert interrupted(process) == 130, (tmp_path / "log.txt").read_text()
    said = (tmp_path / "log.txt").read_text()
    assert f"the same command with --run-dir {run} goes on" in said
    assert "Traceback" not in said
    assert_one_clear_line(run_here(*command[1:], "--seed", "7"), "seed 0 then, 7 now")
    done = run_python(*command)
    assert done.returncode == 0, done.stderr
    assert "head: going on after epoch" in done.stderr
    assert "report:" in done.stderr
    assert 0.0 <= json.loads((run / "evaluation" / "metrics.json").read_text())["accuracy"]["value"] <= 1.0
    for name in ("history.csv", "history.png", "augmented.png", "settings.json", "tensorboard"):
        assert (run / name).exists(), name
    assert_one_clear_line(run_here(*command[1:]), "must not hold a finished run")


TRAIN = ("cxr_keras3.train", "--backbone", "mobilenet_025", "--weights", "none")


def test_train_names_a_missing_folder(tmp_path: Path) -> None:
    done = run_here(*TRAIN, "--manual-dir", tmp_path / "missing", "--data-dir", tmp_path)
    assert_one_clear_line(done, "missing", "manual folder")


def test_train_says_what_an_empty_folder_lacks(tmp_path: Path, run_python) -> None:
    (tmp_path / "empty").mkdir()
    done = run_python(
        *("-m", *TRAIN, "--manual-dir", tmp_path / "empty", "--data-dir", tmp_path / "data"),
        KAGGLE_API_ENVIRONMENT="TEST",  # a server on this machine that is not there
    )
    assert_one_clear_line(done, "covid19-radiography-database", "manual folder")
    assert not any(path.is_file() for path in (tmp_path / "data").rglob("*"))


def test_train_names_a_text_file_called_png(database_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    broken = next((copy / "COVID-19_Radiography_Dataset" / "Normal" / "images").iterdir())
    broken.write_text("this is text")
    done = run_here(*TRAIN, "--manual-dir", copy, "--data-dir", tmp_path / "data")
    assert_one_clear_line(done, broken.name)


def test_train_names_an_unknown_backbone_at_once(run_python) -> None:
    done = run_python("-m", "cxr_keras3.train", "--backbone", "vgg16", KERAS_BACKEND="no-such-backend")
    assert_one_clear_line(done, "vgg16", "densenet121")


def test_train_refuses_a_wrong_weights_file(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.h5").write_text("not HDF5")
    done = run_here(*TRAIN[:-1], tmp_path / "wrong.h5", "--data-dir", data_dir, "--run-dir", tmp_path / "run")
    assert_one_clear_line(done, "wrong.h5", "mobilenet_025")


def test_train_refuses_a_dataset_built_from_other_files(database_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(database_dir, tmp_path / "copy"))
    next((copy / "COVID-19_Radiography_Dataset" / "Normal" / "images").iterdir()).unlink()
    done = run_here(*TRAIN, "--manual-dir", copy, "--data-dir", data_dir)
    assert_one_clear_line(done, "was built from other files")


def test_evaluate_refuses_a_dataset_it_was_not_trained_on(run_dir: Path, tmp_path: Path) -> None:
    from cxr_keras3.training import data
    from tfds_cxr import phantom

    phantom.write_database(tmp_path / "other", per_class=12, seed=1)
    data.prepare(data_dir=tmp_path / "data", manual_dir=tmp_path / "other")
    done = run_here("cxr_keras3.evaluate", run_dir, "--data-dir", tmp_path / "data")
    assert_one_clear_line(done, "trained on")


@pytest.mark.parametrize("module", ["cxr_keras3.predict", "demo"])
def test_a_folder_that_is_no_run_is_named(module: str, film: Path, tmp_path: Path, run_python) -> None:
    inputs = [film] if module == "cxr_keras3.predict" else []
    done = run_python("-m", module, "--model", tmp_path, *inputs)
    assert_one_clear_line(done, "manifest.json", tmp_path.name)


def test_predict_names_what_it_cannot_find_or_read(run_dir: Path, tmp_path: Path) -> None:
    done = run_here("cxr_keras3.predict", "--model", run_dir, tmp_path / "missing.png")
    assert_one_clear_line(done, "missing.png")
    (tmp_path / "text.png").write_text("this is text")
    done = run_here("cxr_keras3.predict", "--model", run_dir, tmp_path / "text.png")
    assert_one_clear_line(done, "text.png")


def test_backend_that_is_not_installed_is_named(run_dir: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if there were none
    done = run_here("cxr_keras3.predict", "--model", run_dir, film, "--runtime", "torch")
    assert_one_clear_line(done, "torch", "cxr_keras3[torch]")
