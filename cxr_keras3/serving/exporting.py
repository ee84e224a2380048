"""Writes a run's serving graph in another format, and keeps it only where it equals the Keras model.

TensorFlow must be the Keras backend: with Keras 3.15 the exporters of JAX fail for ONNX, OpenVINO and LiteRT,
and a `.keras` file loads on any backend.
"""

import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cxr_keras3.backend import openvino_graph
from cxr_keras3.base import files, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.run.parity import MAX_DIFFERENCE, PARITY, SCHEMA_VERSION, Parity
from cxr_keras3.serving import batches, graph, runtimes
from cxr_keras3.serving.comparing import compare
from cxr_keras3.serving.runtimes import FunctionRuntime, Runtime

Images = npt.NDArray[np.uint8]


def export(run: Run, format_name: str, *, films: Images, source: str) -> Parity:
    """Exports a run and checks the export against the Keras model.

    Args:
        run: The run; the export goes to its `export/<format>/`, in place of an earlier one.
        format_name: A key of `FORMATS`.
        films: uint8 (N, 299, 299, 1), real images to compare on.
        source: Where they come from, in words.

    Returns:
        What was written to `parity.json`.

    Raises:
        UserError: Where the run cannot be loaded, or the export differs from the model; nothing is left behind.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"exporting needs Keras on TensorFlow, it runs on {keras.backend.backend()}")
    model = graph.build_graph(run.load_model(), temperature=run.temperature)
    folder = run.export_folder(format_name)
    folder.parent.mkdir(exist_ok=True)
    with files.replacing(folder) as written:
        written.mkdir()
        found = _check(model, format_name, written, films=films, source=source, run=run)
        records.write(written / PARITY, found)
    return found


def _check(
    model: keras.Model,
    format_name: str,
    folder: Path,
    *,
    films: Images,
    source: str,
    run: Run,
) -> Parity:
    """Writes the graph into a folder, reads it back from there, and compares the two."""
    write, read = FORMATS[format_name]
    expected = batches.run(FunctionRuntime(model.predict_on_batch, "Keras"), films, task="parity: Keras")
    write(model, folder)
    float32 = compare(expected, batches.run(read(folder), films, task=f"parity: {format_name}"), run)
    if not float32.is_equal:
        raise UserError(
            f"the export to {format_name} must equal the Keras model (probabilities within {MAX_DIFFERENCE}), "
            f"on {len(films)} images it does not: {float32}; it has been deleted, try another format"
        )
    bfloat16 = None
    if format_name == "openvino" and openvino_graph.processor_has_bfloat16():
        served = runtimes.OpenVINORuntime(folder, "bfloat16")
        bfloat16 = compare(expected, batches.run(served, films, task="parity: openvino in bfloat16"), run)
    return Parity(
        schema_version=SCHEMA_VERSION,
        format=format_name,
        images=len(films),
        source=source,
        temperature=run.temperature,
        processor=platform.processor() or platform.machine(),
        checksums=files.checksums(path for path in sorted(folder.iterdir()) if path.is_file()),
        float32=float32,
        bfloat16=bfloat16,
    )


def _write_openvino(model: keras.Model, folder: Path) -> None:
    openvino_graph.import_openvino()  # before Keras does
    model.export(str(folder / openvino_graph.GRAPH), format="openvino", verbose=False)


def _openvino(folder: Path) -> Runtime:
    return runtimes.OpenVINORuntime(folder, "float32")


def _write_onnx(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model.onnx"), format="onnx", verbose=False)


def _onnx(folder: Path) -> Runtime:
    import onnxruntime  # noqa: PLC0415 -- an extra

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (images,) = session.get_inputs()

    def compute(batch: Images) -> dict[str, Any]:
        return dict(zip(names, session.run(names, {images.name: batch}), strict=True))

    return FunctionRuntime(compute, "ONNX Runtime")


def _write_litert(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model.tflite"), format="litert", verbose=False)


def _litert(folder: Path) -> Runtime:
    import tensorflow as tf  # noqa: PLC0415 -- Keras has imported it by now

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TensorFlow means to move the interpreter to another package
        run = tf.lite.Interpreter(model_path=str(folder / "model.tflite")).get_signature_runner()
    (name,) = run.get_input_details()
    return FunctionRuntime(lambda batch: run(**{name: batch}), "LiteRT")


def _write_saved_model(model: keras.Model, folder: Path) -> None:
    model.export(str(folder), format="tf_saved_model", verbose=False)


def _saved_model(folder: Path) -> Runtime:
    import tensorflow as tf  # noqa: PLC0415 -- see above

    loaded = tf.saved_model.load(str(folder))
    return FunctionRuntime(loaded.serve, "TensorFlow")


FORMATS: dict[str, tuple[Callable[[keras.Model, Path], None], Callable[[Path], Runtime]]] = {
    "openvino": (_write_openvino, _openvino),
    "onnx": (_write_onnx, _onnx),
    "litert": (_write_litert, _litert),
    "saved_model": (_write_saved_model, _saved_model),
}
"""By format: what writes the graph into a folder, and what reads it from there to run it."""
