"""The page's functions without a browser, and its API over HTTP."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file

from cxr_keras3 import images, inference
from demo import app
from tfds_cxr.labels import LABELS


@pytest.fixture(scope="module")
def predictor(run_dir: Path) -> inference.Predictor:
    return inference.load(run_dir)


@pytest.fixture(scope="module")
def client(run_dir: Path) -> Iterator[Client]:
    """A client of `python -m demo`, started as a user starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "demo", "--model", str(run_dir), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connected = connect(f"http://127.0.0.1:{port}", server)
        yield connected
        connected.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def connect(address: str, server: subprocess.Popen) -> Client:
    for _ in range(120):
        assert server.poll() is None, "the server ended by itself"
        try:
            return Client(address, verbose=False)
        except httpx.HTTPError:  # not yet listening
            time.sleep(1)
    raise TimeoutError(address)


def test_a_film_gives_four_probabilities(predictor: inference.Predictor, film: Path) -> None:
    shown, probabilities, remark = app.score(predictor, str(film))
    np.testing.assert_array_equal(shown, images.canonical(images.decode(film).pixels)[..., 0])
    assert list(probabilities) == list(LABELS)
    assert sum(probabilities.values()) == pytest.approx(1.0)
    assert max(probabilities, key=probabilities.get) in remark


def test_a_file_that_is_no_film_gives_its_reason_and_no_probabilities(
    predictor: inference.Predictor, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("this is text")
    shown, probabilities, remark = app.score(predictor, str(tmp_path / "text.png"))
    assert shown is None
    assert probabilities is None
    assert "Not scored" in remark
    assert app.score(predictor, None) == (None, None, "Choose a film first.")


def test_the_api_gives_the_numbers_of_predict(
    client: Client, film: Path, run_dir: Path, tmp_path: Path, run_python
) -> None:
    _, label, _ = client.predict(handle_file(film), api_name="/predict")
    served = {entry["label"]: entry["confidence"] for entry in label["confidences"]}
    done = run_python("-m", "cxr_keras3.predict", "--model", run_dir, film, "--output", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    expected = json.loads((tmp_path / "out.jsonl").read_text())["probabilities"]
    assert served == pytest.approx(expected, abs=1e-3)


def test_the_page_says_what_it_is_and_loads_nothing_from_elsewhere(client: Client) -> None:
    configuration = json.dumps(client.config)
    assert "Not a medical device" in configuration
    assert "Trained on synthetic images" in configuration
    assert "fonts.googleapis" not in configuration


def test_names_come_from_the_manifest_alone(predictor: inference.Predictor, film: Path) -> None:
    (prediction,) = predictor.predict([film])
    assert tuple(prediction.probabilities) == predictor.manifest.class_names
    assert prediction.model == predictor.manifest.name
    assert prediction.abnormal_score == pytest.approx(1.0 - prediction.probabilities["Normal"])


def test_many_files_keep_their_order_and_their_scores(predictor: inference.Predictor, database_dir: Path) -> None:
    files = sorted((database_dir / "COVID-19_Radiography_Dataset" / "Normal" / "images").iterdir())[:20]
    together = list(predictor.predict(files))
    assert [prediction.file for prediction in together] == [str(file) for file in files]
    for file, prediction in list(zip(files, together, strict=True))[::7]:
        (alone,) = predictor.predict([file])
        assert alone.probabilities == pytest.approx(dict(prediction.probabilities), abs=1e-4)
