"""Writes a run's serving graph in another format, and keeps it only where it equals the Keras model.

TensorFlow must be the Keras backend: with Keras 3.15 the exporters of JAX fail for ONNX, OpenVINO and LiteRT,
and a `.keras` file loads on any backend.
"""

import platform
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact, calibration
from cxr_keras3.serving import batches, graph, parity, runtimes
from cxr_keras3.serving.outputs import Outputs

Images = npt.NDArray[np.uint8]
Run = Callable[[Images], Outputs]


def export(run_dir: Path, format_name: str, *, films: Images, source: str) -> parity.Parity:
    """Exports a run and checks the export against the Keras model.

    Args:
        run_dir: The run folder; the export goes to its `export/<format>/`, in place of an earlier one.
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
    fitted = None
    if (run_dir / artifact.CALIBRATION).exists():
        fitted = calibration.load(run_dir / artifact.CALIBRATION)
    temperature = fitted.temperature if fitted else 1.0
    model = graph.build(artifact.load_model(run_dir), temperature=temperature)
    folder = runtimes.export_folder(run_dir, format_name)
    partial = folder.with_name(f".{format_name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        found = _check(model, format_name, partial, films=films, source=source, fitted=fitted)
        parity.save(found, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return found


def _check(
    model: keras.Model,
    format_name: str,
    folder: Path,
    *,
    films: Images,
    source: str,
    fitted: calibration.Calibration | None,
) -> parity.Parity:
    """Writes the graph into a folder, reads it back from there, and compares the two."""
    write, read = FORMATS[format_name]
    expected = _run_all(lambda batch: Outputs.named(model.predict_on_batch(batch)), films, task="Keras")
    write(model, folder)
    float32 = parity.compare(expected, _run_all(read(folder), films, task=format_name), fitted)
    if not float32.is_equal:
        raise UserError(
            f"the export to {format_name} must equal the Keras model (probabilities within {parity.MAX_DIFFERENCE}), "
            f"on {len(films)} images it does not: {float32}; it has been deleted, try another format"
        )
    bfloat16 = None
    if format_name == "openvino" and runtimes.processor_has_bfloat16():
        run = _openvino(folder, precision="bfloat16")
        bfloat16 = parity.compare(expected, _run_all(run, films, task="openvino in bfloat16"), fitted)
    return parity.Parity(
        schema_version=parity.SCHEMA_VERSION,
        format=format_name,
        images=len(films),
        source=source,
        temperature=fitted.temperature if fitted else 1.0,
        processor=platform.processor() or platform.machine(),
        float32=float32,
        bfloat16=bfloat16,
    )


def _run_all(run: Run, films: Images, *, task: str) -> Outputs:
    chosen = progress.track(batches.positions(len(films)), description=f"parity: {task}")
    return Outputs.joined([run(films[positions]) for positions in chosen], len(films))


def _write_openvino(model: keras.Model, folder: Path) -> None:
    runtimes.import_openvino()  # before Keras does
    model.export(str(folder / runtimes.OPENVINO_MODEL), format="openvino", verbose=False)


def _openvino(folder: Path, precision: runtimes.Precision = "float32") -> Run:
    runtime = runtimes.OpenVINORuntime(folder, precision)
    return lambda batch: runtime.start(batch)()


def _write_onnx(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model.onnx"), format="onnx", verbose=False)


def _onnx(folder: Path) -> Run:
    import onnxruntime  # noqa: PLC0415 -- an extra

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (images,) = session.get_inputs()
    return lambda batch: Outputs.named(dict(zip(names, session.run(names, {images.name: batch}), strict=True)))


def _write_litert(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model.tflite"), format="litert", verbose=False)


def _litert(folder: Path) -> Run:
    import tensorflow as tf  # noqa: PLC0415 -- Keras has imported it by now

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TensorFlow means to move the interpreter to another package
        run = tf.lite.Interpreter(model_path=str(folder / "model.tflite")).get_signature_runner()
    (name,) = run.get_input_details()
    return lambda batch: Outputs.named(run(**{name: batch}))


def _write_saved_model(model: keras.Model, folder: Path) -> None:
    model.export(str(folder), format="tf_saved_model", verbose=False)


def _saved_model(folder: Path) -> Run:
    import tensorflow as tf  # noqa: PLC0415 -- see above

    loaded = tf.saved_model.load(str(folder))
    return lambda batch: Outputs.named(loaded.serve(batch))


FORMATS: dict[str, tuple[Callable[[keras.Model, Path], None], Callable[[Path], Run]]] = {
    "openvino": (_write_openvino, _openvino),
    "onnx": (_write_onnx, _onnx),
    "litert": (_write_litert, _litert),
    "saved_model": (_write_saved_model, _saved_model),
}
"""By format: what writes the graph into a folder, and what reads it from there to run it."""
