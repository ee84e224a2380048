"""The model server, asked as its protocol's clients ask."""

import base64
import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from cxr_keras3 import serving
from cxr_keras3.serving import http, open_inference
from tests import drawn_run, radiographs
from tests.image_files import encoded
from tests.orthanc import free_port

HOSTS = ("testserver",)
FILM = radiographs.study("cr compressed", 0).files[0]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> serving.Predictor:
    return serving.load(drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn"))


@pytest.fixture
def client(predictor: serving.Predictor) -> TestClient:
    return TestClient(http.application(predictor, token=None, hosts=HOSTS))


def as_json(*files: bytes, **more: object) -> dict[str, object]:
    data = [base64.b64encode(file).decode() for file in files]
    return {"inputs": [{"name": "film", "datatype": "BYTES", "shape": [len(files)], "data": data}], **more}


def by_name(answer: dict) -> dict[str, dict]:
    return {each["name"]: each for each in answer["outputs"]}


def test_it_says_what_it_is(client: TestClient) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/drawn/ready", "/v2/models/drawn/versions/1/ready"):
        assert client.get(path).status_code == 200
    model = client.get("/v2/models/drawn").json()
    assert (model["name"], model["versions"]) == ("drawn", ["1"])
    assert {"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]} in model["outputs"]
    assert "no such model" in client.get("/v2/models/other").json()["error"]


def test_it_answers_as_predict_does(client: TestClient, predictor: serving.Predictor) -> None:
    files = [FILM, b"no film", encoded(radiographs.pixels(1), "PNG")]
    answer = client.post("/v2/models/drawn/infer", json=as_json(*files, id="7")).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "drawn", "1")
    found = by_name(answer)
    said = list(predictor.predict(files))
    assert [each.accepted for each in said] == [True, False, True]
    records = [json.loads(record) for record in found["prediction"]["data"]]
    assert records == [json.loads(json.dumps(each.record())) for each in said]
    assert found["accepted"]["data"] == [each.accepted for each in said]
    probabilities = np.reshape(found["probabilities"]["data"], found["probabilities"]["shape"])
    for row, each in zip(probabilities, said, strict=True):
        np.testing.assert_allclose(row, list(each.probabilities.values()) or [-1.0] * 4, rtol=1e-6)


def test_films_and_answers_travel_as_bytes(client: TestClient) -> None:
    files = [encoded(radiographs.pixels(1), "PNG"), FILM]
    binary = b"".join(struct.pack("<I", len(file)) + file for file in files)
    parameters = {"binary_data_size": len(binary)}
    head = {
        "inputs": [{"name": "film", "datatype": "BYTES", "shape": [2], "parameters": parameters}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "accepted"}],
    }
    text = json.dumps(head).encode()
    done = client.post(
        "/v2/models/drawn/infer", content=text + binary, headers={open_inference.HEADER_LENGTH: str(len(text))}
    )
    size = int(done.headers[open_inference.HEADER_LENGTH])
    found = by_name(json.loads(done.content[:size]))
    assert found["probabilities"]["parameters"]["binary_data_size"] == len(done.content) - size == 2 * 4 * 4
    sent = np.frombuffer(done.content[size:], "<f4").reshape(2, 4)
    plain = by_name(client.post("/v2/models/drawn/infer", json=as_json(*files)).json())
    np.testing.assert_array_equal(sent.ravel(), np.float32(plain["probabilities"]["data"]))


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"no JSON", {}, "one input"),
        (b"{}", {}, "one input"),
        (b"[" * 100_000, {}, "one input"),
        (json.dumps(as_json(b"x") | {"inputs": [1]}).encode(), {}, "one input"),
        (json.dumps(as_json(*[b"x"] * 65)).encode(), {}, "N from 1 to 64"),
        (json.dumps(as_json(b"x")).replace("BYTES", "UINT8").encode(), {}, "BYTES"),
        (json.dumps(as_json(b"x", outputs=[{"name": "truth"}])).encode(), {}, "an output must be one of"),
        (json.dumps(as_json(b"x")).replace('"data": ["', '"data": ["?').encode(), {}, "base64"),
        (json.dumps(as_json(b"x")).replace('"shape": [1]', '"shape": [2]').encode(), {}, "2 films"),
        (b"{}", {open_inference.HEADER_LENGTH: "999"}, "at most the length of the body"),
    ],
)
def test_what_is_no_request_is_said_in_a_line(
    body: bytes, headers: dict[str, str], words: str, client: TestClient
) -> None:
    done = client.post("/v2/models/drawn/infer", content=body, headers=headers)
    assert done.status_code == 400
    assert words in done.json()["error"]


def test_binary_data_may_lie(client: TestClient) -> None:
    for binary in (b"\xff\xff\xff\xff", b"\x00", b""):
        tensor = {"name": "film", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(binary)}}
        text = json.dumps({"inputs": [tensor]}).encode()
        headers = {open_inference.HEADER_LENGTH: str(len(text))}
        assert client.post("/v2/models/drawn/infer", content=text + binary, headers=headers).status_code == 400


def test_too_large_requests_tokens_and_strange_names(
    predictor: serving.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_REQUEST_BYTES", 1000)
    client = TestClient(http.application(predictor, token="secret", hosts=HOSTS))  # noqa: S106
    assert client.post("/v2/models/drawn/infer", content=b"{}").status_code == 401
    access = {"Authorization": "Bearer secret"}
    assert client.post("/v2/models/drawn/infer", content=b" " * 1001, headers=access).status_code == 413
    assert client.post("/v2/models/drawn/infer", json=as_json(b"x"), headers=access).status_code == 200
    assert client.get("/v2/health/live", headers={"Host": "evil.example"}).status_code == 400


def test_the_command_serves_and_ends(predictor: serving.Predictor) -> None:
    port = free_port()
    command = [sys.executable, "-m", "cxr_keras3.serve", "--model", str(predictor.run.folder), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    done = httpx.post(f"http://127.0.0.1:{port}/v2/models/drawn/infer", json=as_json(b"no film"))
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            assert done.status_code == 200
            assert by_name(done.json())["accepted"]["data"] == [False]
        finally:
            process.terminate()
        assert process.wait(timeout=30) in (0, -15)


def test_beyond_this_machine_a_token_is_needed(run_python) -> None:
    done = run_python("-m", "cxr_keras3.serve", "--host", "192.0.2.1", CXR_SERVE_TOKEN="")
    assert done.returncode == 2
    assert "CXR_SERVE_TOKEN" in done.stderr
