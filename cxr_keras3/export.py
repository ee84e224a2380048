"""Exports a run to OpenVINO, ONNX, LiteRT or a TensorFlow SavedModel, checked against the Keras model.

One graph from uint8 images (B, 299, 299, 1) to logits, probabilities (with the temperature folded in), activation
maps and pooled features. It is written to RUN/export/FORMAT/, with the figures of the check in parity.json.

Example: python -m cxr_keras3.export runs/first --format openvino
"""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command

FORMATS = ("openvino", "onnx", "litert", "saved_model")
ONNX_PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def main(arguments: Sequence[str]) -> int:
    """Exports, and says how near the export comes to the model."""
    options = _parse(arguments)
    from cxr_keras3.run.folder import Run

    run = Run.open(options.run)
    progress.say("starting Keras on tensorflow, whose exporters work for models of every backend")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the check is short, and a training may hold the GPU
    selection.select("tensorflow")
    from cxr_keras3.workflows.exporting import export

    export(run, options.format, files=options.images, data_dir=options.data_dir)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--format", required=True, choices=FORMATS, help="onnx needs the extra of that name")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument(
        "--images",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="films to check the export on; the validation split of the run's dataset when left out",
    )
    options = parser.parse_args(arguments)
    missing = [name for name in ONNX_PACKAGES if not importlib.util.find_spec(name)]
    if options.format == "onnx" and missing:
        raise UserError(f"--format onnx needs {', '.join(missing)}; python -m pip install 'cxr_keras3[onnx]'")
    return options


if __name__ == "__main__":
    run_command(main)
