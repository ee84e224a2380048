"""Folders that other model servers load: one OpenVINO graph that holds the gate, the abnormal score and the flag, too.

What stands outside the graph in this package is written into it as operations, so that a server which knows nothing of
the package answers the same questions. The segmenter is not among them: a film without lungs is not refused.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.backend import openvino_graph
from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.run import abnormality, answers, gate
from cxr_keras3.run.folder import Run

VERSION = "1"
MAX_BATCH = 16
MAX_DIFFERENCE = 1e-3
"""Of the abnormal score, between the graph and this package; accepted and flag must be the same."""

ADDED = ("accepted", "abnormal_score", "flag")
_TYPES = {"f32": ("TYPE_FP32", "FP32"), "boolean": ("TYPE_BOOL", "BOOL"), "u8": ("TYPE_UINT8", "UINT8")}
_CLIENT = '''"""Asks the model server about one film: python client.py FILM [http://HOST:PORT]; needs cxr_keras3."""

import json
import sys
import urllib.request

from cxr_keras3 import images

film = images.canonical(images.decode(sys.argv[1]).pixels)  # as in training: uint8 (299, 299, 1)
server = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000"
tensor = {{"name": {input!r}, "datatype": "UINT8", "shape": [1, *film.shape], "data": film.ravel().tolist()}}
body = json.dumps({{"inputs": [tensor]}}).encode()
request = urllib.request.Request(f"{{server}}/v2/models/{name}/infer", body, {{"Content-Type": "application/json"}})
with urllib.request.urlopen(request) as answer:
    outputs = {{each["name"]: each["data"] for each in json.load(answer)["outputs"]}}
if not outputs["accepted"][0]:
    sys.exit("no upright frontal chest film: no answer")
print("Abnormal: read first" if outputs["flag"][0] else "Nothing above the threshold")
print(f"abnormal score {{outputs['abnormal_score'][0]:.3f}}; for research only, not for diagnosis")
'''


def write(run: Run, kind: str, folder: Path, *, films: npt.NDArray[np.uint8]) -> Path:
    """Writes a bundle, once its graph is seen to answer as this package does.

    Args:
        run: A calibrated run that is exported to OpenVINO and shown whole films; with its site, where it has one.
        kind: One of `KINDS`.
        folder: Gets the bundle; replaced where it is one already.
        films: uint8 (N, 299, 299, 1), to compare on.

    Returns:
        The folder.

    Raises:
        UserError: Where the run is none of these, or the graph answers otherwise; nothing is left behind.
    """
    model = whole_graph(run)
    _require_equal(run, model, films)
    with files.replacing(folder) as written:
        place = written / run.name
        (place / VERSION).mkdir(parents=True)
        openvino_graph.import_openvino().save_model(
            model, place / VERSION / openvino_graph.GRAPH, compress_to_fp16=False
        )
        files.write_text(place / "labels.txt", "".join(f"{name}\n" for name in run.class_names))
        files.write_json(written / "signature.json", _signature(run, model))
        (taken,) = _tensors(model.inputs)
        files.write_text(written / "client.py", _CLIENT.format(name=run.name, input=taken["name"]))
        KINDS[kind](run, model, written)
    return folder


def whole_graph(run: Run) -> Any:  # noqa: ANN401 -- OpenVINO ships no types
    """The run's graph with `ADDED` among its outputs.

    Raises:
        UserError: Where the run lacks calibration, gate or export, or is shown a region of a film alone.
    """
    if run.manifest.region != "full":
        raise UserError(
            f"a bundle must be of a run that sees whole films, {run.name} sees {run.manifest.region}: its films would "
            "have to pass the segmenter first; serve it with python -m cxr_keras3.serve"
        )
    if run.gate is None:
        raise UserError(f"a bundle must be of a run with a gate, {run.name} has none; train or evaluate it again")
    if run.parity("openvino") is None:
        raise UserError(
            f"a bundle must be of a run exported to OpenVINO, {run.name} is not; "
            f"run python -m cxr_keras3.export {run.folder} --format openvino"
        )
    threshold = (run.operating_point or run.required_calibration).abnormal_threshold
    openvino = openvino_graph.import_openvino()
    from openvino import opset13 as ops  # noqa: PLC0415 -- as above

    model = openvino.Core().read_model(run.export_folder("openvino") / openvino_graph.GRAPH)
    features, (images,) = model.output("features").get_node().input_value(0), model.get_parameters()
    heads, offset = run.required_abnormality, run.site.offset if run.site else 0.0
    weights = _constant(ops, heads.weights[:, np.newaxis])
    seen = ops.mvn(features, ops.constant([1]), True, abnormality.EPSILON, "outside_sqrt")  # abnormality.per_film
    logit = ops.add(ops.matmul(seen, weights, False, False), np.float32(heads.bias + offset))
    score = ops.sigmoid(ops.squeeze(logit, [1]))
    added = {
        "accepted": _accepted(ops, run.gate, images, features),
        "abnormal_score": score,
        "flag": ops.greater_equal(score, np.float32(threshold)),
    }
    results = []
    for name, node in added.items():
        result = ops.result(node)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    model.add_results(results)
    return model


def _constant(ops: Any, values: npt.NDArray[Any]) -> Any:  # noqa: ANN401 -- OpenVINO ships no types
    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))


def _accepted(ops: Any, found: gate.Gate, images: Any, features: Any) -> Any:  # noqa: ANN401 -- see above
    """The gate, see `Gate.reasons`, as operations."""
    compressed = ops.multiply(ops.sign(features), ops.log(ops.add(ops.abs(features), np.float32(1.0))))
    centred = ops.subtract(compressed, _constant(ops, found.mean))
    along = ops.power(ops.matmul(centred, _constant(ops, found.directions), False, False), np.float32(2.0))
    total = ops.reduce_sum(ops.power(centred, np.float32(2.0)), [1])
    beyond = ops.relu(ops.subtract(total, ops.reduce_sum(along, [1])))
    spread = ops.reduce_sum(ops.divide(along, _constant(ops, found.variances[:-1])), [1])
    distance = ops.add(spread, ops.divide(beyond, np.float32(found.variances[-1])))

    grey = ops.squeeze(ops.convert(images, "f32"), [3])
    shrink = _constant(ops, _box_filter())
    small = ops.matmul(ops.matmul(shrink, grey, False, False), shrink, False, True)
    values = ops.reshape(ops.floor(ops.add(small, np.float32(0.5))), [0, gate.THUMBNAIL**2], True)
    mean, deviation = _moments(ops, values, [1])
    shapes = ops.divide(ops.subtract(values, mean), ops.add(deviation, np.float32(1.0)))
    logits = ops.add(ops.matmul(shapes, _constant(ops, found.weights), False, False), _constant(ops, found.bias))
    upright = ops.gather(ops.softmax(logits, 1), ops.constant(np.int64(0)), ops.constant(np.int64(1)))

    _, contrast = _moments(ops, grey, [1, 2])
    checks = (
        ops.greater_equal(ops.squeeze(contrast, [1, 2]), np.float32(gate.MIN_CONTRAST)),
        ops.less_equal(distance, np.float32(found.threshold)),
        ops.greater_equal(upright, np.float32(gate.MIN_UPRIGHT)),
    )
    return ops.logical_and(ops.logical_and(checks[0], checks[1]), checks[2])


def _moments(ops: Any, values: Any, axes: list[int]) -> tuple[Any, Any]:  # noqa: ANN401 -- see above
    """Mean and standard deviation, the axes kept."""
    mean = ops.reduce_mean(values, axes, keep_dims=True)
    square = ops.power(ops.subtract(values, mean), np.float32(2.0))
    return mean, ops.sqrt(ops.reduce_mean(square, axes, keep_dims=True))


def _box_filter() -> npt.NDArray[np.float32]:
    """Pillow's box filter from 299 pixels to a thumbnail's, float32 (16, 299), as it treats each pixel by itself."""
    each = Image.fromarray(np.eye(IMAGE_SIZE, dtype=np.float32))
    return np.asarray(each.resize((IMAGE_SIZE, gate.THUMBNAIL), Image.Resampling.BOX))


def _require_equal(run: Run, model: Any, films: npt.NDArray[np.uint8]) -> None:  # noqa: ANN401 -- see above
    """Refuses a graph that answers otherwise than the gate and `answers.answer` do on its own features."""
    compiled = openvino_graph.import_openvino().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = {name: array for output, array in compiled(films).items() for name in output.names}
    expected = answers.answer(run, found["logits"], found["features"])
    if run.gate is None or expected.flags is None:
        raise RuntimeError("the run was seen to have a gate and a calibration")
    distances = run.gate.distances(found["features"])
    accepted = np.array([not reason for reason in run.gate.reasons(films, distances)])
    largest = float(np.abs(found["abnormal_score"] - expected.abnormal_scores).max())
    same = np.array_equal(found["accepted"], accepted) and np.array_equal(found["flag"], expected.flags)
    if not same or largest > MAX_DIFFERENCE:
        raise UserError(
            f"the bundle's graph must answer as the package does, on {len(films)} films it does not (scores differ by "
            f"up to {largest:.1e}); export the run again"
        )


def _tensors(ends: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- see above
    """Name, type and shape of inputs or outputs, in which -1 is the number of films."""
    found = []
    for end in ends:
        sizes = [size.get_length() if size.is_static else -1 for size in end.partial_shape]
        found.append({"name": end.any_name, "type": end.element_type.get_type_name(), "shape": sizes})
    return found


def _signature(run: Run, model: Any) -> dict[str, Any]:  # noqa: ANN401 -- see above
    protocol = [
        [{"name": each["name"], "datatype": _TYPES[each["type"]][1], "shape": each["shape"]} for each in _tensors(ends)]
        for ends in (model.inputs, model.outputs)
    ]
    return {
        "name": run.name,
        "versions": [VERSION],
        "fingerprint": run.fingerprint,
        "class_names": list(run.class_names),
        "inputs": protocol[0],
        "outputs": protocol[1],
        "not_in_it": "decoding, which client.py shows, and the check that there are lungs",
        "use": "research only, not for diagnosis",
    }


def _write_triton(run: Run, model: Any, folder: Path) -> None:  # noqa: ANN401 -- see above
    """`config.pbtxt`, by Triton's ModelConfig."""
    lines = [f'name: "{run.name}"', 'backend: "openvino"', f"max_batch_size: {MAX_BATCH}"]
    for kind, ends in (("input", model.inputs), ("output", model.outputs)):
        for each in _tensors(ends):
            dims = ", ".join(map(str, each["shape"][1:])) or "1"
            flat = "" if each["shape"][1:] else "  reshape { shape: [ ] }\n"
            labels = '  label_filename: "labels.txt"\n' if each["name"] == "probabilities" else ""
            data_type = _TYPES[each["type"]][0]
            fields = f'  name: "{each["name"]}"\n  data_type: {data_type}\n  dims: [ {dims} ]\n{flat}{labels}'
            lines.append(f"{kind} {{\n{fields}}}")
    files.write_text(folder / run.name / "config.pbtxt", "\n".join(lines) + "\n")


def _write_ovms(run: Run, model: Any, folder: Path) -> None:  # noqa: ANN401, ARG001 -- one signature for all
    """`config.json` of the OpenVINO model server, for a bundle that is mounted at /models."""
    config = {"name": run.name, "base_path": f"/models/{run.name}"}
    files.write_json(folder / "config.json", {"model_config_list": [{"config": config}]})


def _write_kserve(run: Run, model: Any, folder: Path) -> None:  # noqa: ANN401 -- see above
    """The folder of Triton, and an InferenceService that serves it from a volume named models."""
    _write_triton(run, model, folder)
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": kubernetes_name(run.name)},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "protocolVersion": "v2",
                    "storageUri": "pvc://models/",
                }
            }
        },
    }
    files.write_text(folder / "inference-service.yaml", json.dumps(service, indent=2) + "\n")  # JSON is YAML


def kubernetes_name(name: str) -> str:
    """A run's name as Kubernetes takes one: a label of RFC 1123 that begins with a letter, at most 63 characters."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"run-{plain}")[:63].rstrip("-")


KINDS: dict[str, Callable[[Run, Any, Path], None]] = {
    "triton": _write_triton,
    "ovms": _write_ovms,
    "kserve": _write_kserve,
}
"""What each server wants beside the graph."""
