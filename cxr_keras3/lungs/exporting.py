"""Writes a segmenter as a graph for OpenVINO, in a process of its own: the exporter needs Keras on TensorFlow."""

import os
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.backend.openvino_graph import GRAPH, import_openvino
from cxr_keras3.lungs.segmenter import LOGITS, MODEL


def export(folder: Path) -> None:
    """Writes the graph of a folder's Keras model, weights in half precision; starts Keras on TensorFlow."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the training that waits for this may hold the GPU
    openvino = import_openvino()  # before Keras does
    selection.select("tensorflow")
    import keras  # noqa: PLC0415 -- only now is the backend chosen

    trained = keras.models.load_model(folder / MODEL, compile=False)
    model = keras.Model(trained.input, {LOGITS: trained.output})  # an output by its name
    whole = folder / f"whole-{GRAPH}"
    model.export(str(whole), format="openvino", verbose=False)
    openvino.save_model(openvino.Core().read_model(whole), folder / GRAPH, compress_to_fp16=True)
    for path in (whole, whole.with_suffix(".bin")):
        path.unlink()
