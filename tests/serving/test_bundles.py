"""Bundles for model servers."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from cxr_keras3 import images, serving
from cxr_keras3.backend import openvino_graph
from cxr_keras3.base.errors import UserError
from cxr_keras3.export import BUNDLES, main
from cxr_keras3.run.folder import GATE, Run
from cxr_keras3.serving import bundles
from tests import drawn_run, gateway, radiographs
from tests.image_files import encoded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gateway.write_gated_run(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def bundle(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of one kind, by the command."""
    folder = tmp_path_factory.mktemp("bundles") / "triton"
    assert main([str(run_dir), "--bundle", "triton", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(params=BUNDLES)
def of_kind(request: pytest.FixtureRequest, bundle: Path, run_dir: Path, tmp_path: Path) -> Path:
    """A bundle of each kind."""
    if request.param == bundle.name:
        return bundle
    film = images.canonical(radiographs.pixels(0))[np.newaxis]
    return bundles.write(Run.open(run_dir), request.param, tmp_path / request.param, films=film)


def test_its_graph_refuses_and_flags_as_the_package_does(bundle: Path, run_dir: Path) -> None:
    compiled = openvino_graph.import_openvino().Core().compile_model(bundle / "drawn" / "1" / "model.xml", "CPU")
    upright = [images.canonical(radiographs.pixels(number)) for number in range(6)]
    films = np.stack([*upright, *(film[::-1] for film in upright), np.full_like(upright[0], 90), 255 - upright[0]])
    found = {name: array for output, array in compiled(films).items() for name in output.names}
    run = Run.open(run_dir)
    reasons = run.gate.reasons(films, run.gate.distances(found["features"]))
    assert found["accepted"].tolist() == [not reason for reason in reasons]
    assert 0 < sum(found["accepted"]) < len(films)
    said = [each for each in serving.load(run).predict(upright) if each.accepted]
    assert len(said) == len(upright)
    np.testing.assert_allclose(found["abnormal_score"][:6], [each.abnormal_score for each in said], atol=1e-4)
    assert found["flag"][:6].tolist() == [each.flag for each in said]


def test_what_its_server_wants_is_there(of_kind: Path, bundle: Path) -> None:
    for same in ("drawn/1/model.bin", "client.py", "signature.json"):  # what the other tests look at in one of them
        assert (of_kind / same).read_bytes() == (bundle / same).read_bytes()
    bundle = of_kind
    signature = json.loads((bundle / "signature.json").read_text())
    names = {each["name"] for each in signature["outputs"]}
    assert names >= {"logits", "probabilities", *bundles.ADDED}
    assert (bundle / "drawn" / "labels.txt").read_text().split("\n")[:4] == signature["class_names"]
    if bundle.name == "ovms":
        (model,) = json.loads((bundle / "config.json").read_text())["model_config_list"]
        assert model["config"] == {"name": "drawn", "base_path": "/models/drawn"}
        return
    if bundle.name == "kserve":
        service = json.loads((bundle / "inference-service.yaml").read_text())  # JSON is YAML
        assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
        assert service["metadata"] == {"name": "drawn"}
        model = service["spec"]["predictor"]["model"]
        assert model == {"modelFormat": {"name": "triton"}, "protocolVersion": "v2", "storageUri": "pvc://models/"}
    config = text_format.Parse((bundle / "drawn" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.name, config.backend, list(config.input[0].dims)) == ("drawn", "openvino", [299, 299, 1])
    assert {output.name for output in config.output} == names
    assert {each.name: each.data_type for each in config.output}["flag"] == model_config_pb2.TYPE_BOOL


def test_its_client_sends_the_film_as_it_was_trained_on(bundle: Path, tmp_path: Path) -> None:
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            data = {"accepted": [True], "flag": [True], "abnormal_score": [0.75]}
            body = json.dumps({"outputs": [{"name": name, "data": each} for name, each in data.items()]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    film = radiographs.pixels(0)
    (tmp_path / "film.png").write_bytes(encoded(film, "PNG"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        command = [sys.executable, str(bundle / "client.py"), str(tmp_path / "film.png"), address]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        server.shutdown()
    assert done.stdout.startswith("Abnormal: read first\nabnormal score 0.750")
    ((path, request),) = received
    assert path == "/v2/models/drawn/infer"
    (tensor,) = request["inputs"]
    signature = json.loads((bundle / "signature.json").read_text())
    assert {key: tensor[key] for key in ("name", "datatype")} == {
        key: signature["inputs"][0][key] for key in ("name", "datatype")
    }
    np.testing.assert_array_equal(np.reshape(tensor["data"], tensor["shape"]), images.canonical(film)[np.newaxis])


@pytest.mark.parametrize("name", ["drawn", "My_run", "läuf 1.2", "2026-11", "_", "x" * 62 + "._y"])
def test_any_run_has_a_name_that_kubernetes_takes(name: str) -> None:
    assert re.fullmatch("[a-z]([a-z0-9-]{0,61}[a-z0-9])?", bundles.kubernetes_name(name))


def test_a_run_without_gate_has_no_bundle(tmp_path: Path) -> None:
    run = Run.open(drawn_run.write(tmp_path / "drawn"))
    with pytest.raises(UserError, match="gate"):
        bundles.whole_graph(run)
    assert not (run.folder / GATE).exists()
    with pytest.raises(UserError, match="go together"):
        main([str(run.folder), "--bundle", "triton"])
