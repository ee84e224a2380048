"""Exports of a trained run: equal to the Keras model or not there at all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr_keras3 import export, serving
from cxr_keras3.run.folder import CALIBRATION, GATE, Run
from tests.commands.test_commands import assert_one_clear_line

FAIL = """
import sys
from pathlib import Path
from cxr_keras3 import export
from cxr_keras3.run import parity
parity.MAX_DIFFERENCE = -1.0
sys.exit(export.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def finished(run_dir: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, calibrated and finished as training finishes one."""
    from cxr_keras3.training import finishing
    from tfds_cxr import reading

    run = Path(shutil.copytree(run_dir, tmp_path_factory.mktemp("runs") / "tiny"))
    finishing.finish(run, reading.find(data_dir))
    return run


def test_a_finished_run_serves_from_openvino_what_keras_says(finished: Path, data_dir: Path) -> None:
    from cxr_keras3.training import data
    from tfds_cxr import reading

    films = data.load_split(reading.find(data_dir), "validation").images[..., 0]
    fast, keras = serving.load(finished), serving.load(finished, runtime="jax")
    assert fast.description.startswith("OpenVINO")
    assert keras.description.startswith("Keras on jax")
    tolerance = 1e-3 if "float32" in fast.description else 0.02
    accepted = 0
    for ours, theirs in zip(fast.predict(films), keras.predict(films), strict=True):
        assert ours.accepted == theirs.accepted
        if ours.accepted:
            accepted += 1
            for name, probability in theirs.probabilities.items():
                assert ours.probabilities[name] == pytest.approx(probability, abs=tolerance)
                expected = theirs.activation_maps[name]
                np.testing.assert_allclose(
                    ours.activation_maps[name], expected, atol=tolerance * max(1.0, np.ptp(expected))
                )
    assert accepted >= 0.9 * len(films)


def test_the_figures_are_stored_beside_the_export(finished: Path) -> None:
    from cxr_keras3.serving import exporting

    assert set(export.FORMATS) == set(exporting.FORMATS)
    found = Run.open(finished).parity("openvino")
    assert found.float32.is_equal
    assert found.temperature == json.loads((finished / CALIBRATION).read_text())["temperature"]
    assert "validation" in found.source
    assert (finished / GATE).is_file()


def test_a_failed_parity_leaves_what_was_there(finished: Path, data_dir: Path, run_python) -> None:
    folder = Run.open(finished).export_folder("openvino")
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    done = run_python("-c", FAIL, finished, "--format", "openvino", "--data-dir", data_dir)
    assert done.returncode != 0
    assert "must equal the Keras model" in done.stderr
    assert {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["openvino"]


def test_an_export_names_what_it_lacks(tmp_path: Path, film: Path, run_python) -> None:
    command = ("-m", "cxr_keras3.export")
    assert_one_clear_line(run_python(*command, tmp_path, "--format", "openvino"), "manifest.json")


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["onnx", "litert", "saved_model"])
def test_other_formats_equal_the_keras_model(format_name: str, finished: Path, database_dir: Path, run_python) -> None:
    if format_name == "onnx":
        pytest.importorskip("tf2onnx")
    films = sorted(database_dir.rglob("images/*.png"))[:12]
    done = run_python("-m", "cxr_keras3.export", finished, "--format", format_name, "--images", *films)
    assert done.returncode == 0, done.stderr
    assert Run.open(finished).parity(format_name).float32.is_equal
