"""The predictor on a graph whose answers are known, without Keras."""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_keras3 import images, serving
from cxr_keras3.backend import openvino_graph
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import gate
from cxr_keras3.run.folder import GATE, Run
from cxr_keras3.run.parity import PARITY, Agreement, Parity
from cxr_keras3.serving import runtimes
from tests import drawn_run
from tfds_cxr.labels import LABELS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return drawn_run.write_films(tmp_path_factory.mktemp("films"), 21)


def values(prediction: serving.Prediction) -> list[float]:
    return list(prediction.probabilities.values())


def test_answers_are_the_graphs_for_every_kind_of_input(run: Path, films: list[Path]) -> None:
    pixels = np.asarray(Image.open(films[7]))
    loaded = serving.load(run)
    kinds = [films[7], str(films[7]), films[7].read_bytes(), pixels, pixels[..., np.newaxis]]
    for prediction in loaded.predict(kinds):
        assert tuple(prediction.probabilities) == LABELS
        np.testing.assert_allclose(
            values(prediction), drawn_run.expected_probabilities(pixels, temperature=2.0), atol=1e-5
        )
        np.testing.assert_array_equal(prediction.image, pixels)
        assert prediction.predicted == LABELS[0]
        assert prediction.abnormal_score == pytest.approx(drawn_run.expected_score(pixels), abs=1e-5)
        assert prediction.flag == (prediction.abnormal_score >= 0.5)
        assert prediction.prediction_set == tuple(name for name in LABELS if prediction.probabilities[name] >= 0.1)
        assert prediction.activation_maps["COVID"].shape == (2, 2)
        mean = prediction.activation_maps["COVID"].mean()
        assert mean == pytest.approx(3.0 * pixels[:298, :298].mean() / 255.0, rel=1e-4)


def test_an_image_answers_the_same_alone_and_among_others(run: Path, films: list[Path]) -> None:
    loaded = serving.load(run)
    together = list(loaded.predict(films))
    assert [prediction.file for prediction in together] == [str(file) for file in films]
    for file, prediction in zip(films, together, strict=True):
        (alone,) = loaded.predict([file])
        assert values(alone) == values(prediction)


def test_a_bad_file_says_why_and_the_rest_go_on_in_order(run: Path, films: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("text")
    wanted = [bad, *films[:3], tmp_path / "missing.png", films[3], b"", films[4]]
    found = list(serving.load(run).predict(wanted, batch_size=2))
    assert [prediction.accepted for prediction in found] == [False, True, True, True, False, True, False, True]
    for prediction in found:
        assert bool(prediction.reject_reason) != prediction.accepted
        assert bool(prediction.probabilities) == prediction.accepted
        assert (prediction.predicted != "") == prediction.accepted
        assert (prediction.flag is None) != prediction.accepted


def test_inputs_are_taken_as_they_are_needed(run: Path, films: list[Path]) -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield films[0]

    for _, _prediction in zip(range(50), serving.load(run).predict(endless()), strict=False):
        assert taken < 300


def test_threads_share_a_predictor(run: Path, films: list[Path]) -> None:
    loaded = serving.load(run)
    expected = [values(prediction) for prediction in loaded.predict(films)]
    found: dict[int, list[list[float]]] = {}

    def score(index: int) -> None:
        found[index] = [values(prediction) for prediction in loaded.predict(films)]

    threads = [threading.Thread(target=score, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4


def test_a_run_without_calibration_or_gate_says_so(tmp_path: Path, films: list[Path]) -> None:
    loaded = serving.load(drawn_run.write(tmp_path / "plain", temperature=None, synthetic=True))
    (prediction,) = loaded.predict(films[:1])
    assert prediction.flag is None
    assert prediction.prediction_set is None
    for word in ("not calibrated", "not checked", "synthetic"):
        assert any(word in warning for warning in prediction.warnings)
        assert any(word in notice for notice in loaded.notices)


def test_what_the_gate_refuses_gets_no_probabilities(tmp_path: Path, films: list[Path]) -> None:
    run = drawn_run.write(tmp_path / "gated")
    train = np.stack([images.canonical(images.decode(file).pixels) for file in films])
    generator = np.random.default_rng(0)
    near = drawn_run.features(np.full(200, 2.0))
    near[:, :4] += generator.normal(0.0, 0.2, (200, 4))
    fitted = gate.fit(near, near, images_train=train)
    always_upright = np.zeros_like(fitted.bias)
    always_upright[0] = 50.0
    unturned = dataclasses.replace(fitted, weights=fitted.weights * 0, bias=always_upright)
    gate.save(unturned, run / GATE)
    loaded = serving.load(run)
    grain = np.random.default_rng(1).integers(0, 40, (300, 300), np.uint8)
    half = np.repeat(np.array([[0, 215]], np.uint8), 150, axis=1)
    for pixels, accepted in ((np.asarray(Image.open(films[10])), True), (np.tile(half, (300, 1)) + grain, False)):
        (prediction,) = loaded.predict([pixels])
        assert prediction.accepted is accepted
        assert bool(prediction.probabilities) is accepted
        assert (prediction.activation_maps is not None) is accepted
        assert accepted or "chest film" in prediction.reject_reason
    (blank,) = loaded.predict([np.full((299, 299), 120, np.uint8)])
    assert "blank" in blank.reject_reason


def test_probabilities_are_calibrated_as_the_run_is_whatever_the_export_holds(
    tmp_path: Path, films: list[Path]
) -> None:
    folder = drawn_run.write(tmp_path / "run")
    run = Run.open(folder)
    run.write_calibration(dataclasses.replace(run.required_calibration, temperature=0.5))
    pixels = np.asarray(Image.open(films[7]))
    (prediction,) = serving.load(folder).predict([pixels])
    np.testing.assert_allclose(values(prediction), drawn_run.expected_probabilities(pixels, temperature=0.5), atol=1e-5)


def test_an_export_without_logits_is_to_be_made_anew(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "old")
    path = Run.open(folder).export_folder("openvino") / PARITY
    path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(UserError, match=r"schema version 3, received 2; make it again: python -m cxr_keras3\.export"):
        serving.load(folder)


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_a_flipped_bit_is_not_served(tmp_path: Path, name: str) -> None:
    """OpenVINO takes a damaged file without a word, and answers otherwise."""
    folder = drawn_run.write(tmp_path / "flipped")
    path = Run.open(folder).export_folder("openvino") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}.*checksum is another; make it again"):
        serving.load(folder)


def test_bfloat16_needs_an_export_that_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = Agreement(0.999, 1.0, 0.2, 0.001, 0.01, 0.01, 0.01)
    far = Agreement(0.99, 1.0, 0.2, 0.001, 0.01, 0.01, 0.01)
    for has_it, bfloat16, expected in (
        (True, near, "bfloat16"),
        (True, far, "float32"),
        (True, None, "float32"),
        (False, near, "float32"),
    ):
        monkeypatch.setattr(openvino_graph, "processor_has_bfloat16", lambda has_it=has_it: has_it)
        parity = Parity(3, "openvino", 8, "drawn", 2.0, "any", {}, drawn_run.EQUAL, bfloat16)
        assert runtimes.choose_precision(parity) == expected


def test_an_unknown_runtime_and_a_missing_export_are_named(tmp_path: Path) -> None:
    run = drawn_run.write(tmp_path / "run")
    with pytest.raises(UserError, match="openvino, jax, tensorflow, torch"):
        serving.load(run, runtime="cuda")
    (Run.open(run).export_folder("openvino") / openvino_graph.GRAPH).unlink()
    with pytest.raises(UserError, match=r"model\.xml"):
        serving.load(run)


def test_neither_keras_nor_telemetry_is_imported(run: Path, films: list[Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from cxr_keras3 import load\n"
        f"list(load(Path({str(run)!r})).predict([{str(films[0])!r}]))\n"
        "heavy = ('keras', 'tensorflow', 'jax', 'torch', 'sklearn', 'matplotlib', 'pydicom', 'rich', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules], sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "None"]


FIRST_TOGETHER = """
import sys, threading
import numpy as np
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import runtimes

runtime = runtimes.OpenVINORuntime(Run.open().export_folder("openvino"), "float32")
images = np.zeros((16, 299, 299, 1), np.uint8)
runtime.in_flight(len(images))  # compiles
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(4)


def score():
    barrier.wait()
    runtime.start(images)()


threads = [threading.Thread(target=score) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_score_first_together_do_not_wait_for_one_another(run_python) -> None:
    """OpenVINO alone hung in one of two such processes; `run_python` gives up in time."""
    for _ in range(4):
        done = run_python("-c", FIRST_TOGETHER)
        assert done.returncode == 0, done.stderr
