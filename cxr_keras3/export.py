"""Exports a run to OpenVINO, ONNX, LiteRT or a TensorFlow SavedModel, checked against the Keras model.

One graph from uint8 images (B, 299, 299, 1) to logits, probabilities (with the temperature folded in), activation
maps and pooled features. It is written to RUN/export/FORMAT/, with the figures of the check in parity.json.

With --bundle, the folder that Triton, OpenVINO's model server or KServe loads, in whose graph are gate and flag, too.

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
BUNDLES = ("triton", "ovms", "kserve")
ONNX_PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def main(arguments: Sequence[str]) -> int:
    """Exports, and says how near the export comes to the model."""
    options = _parse(arguments)
    from cxr_keras3.run.folder import Run

    run = Run.open(options.run, site=options.site)
    if options.bundle:
        from cxr_keras3.workflows.bundling import bundle

        bundle(run, options.bundle, options.output, files=options.images)
        return 0
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
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--format", choices=FORMATS, help="onnx needs the extra of that name")
    wanted.add_argument(
        "--bundle", choices=BUNDLES, help="the folder that a model server loads, of a run exported to OpenVINO"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where a bundle goes")
    parser.add_argument("--site", type=Path, help="profile of the hospital whose flag a bundle has; see cxr commission")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument(
        "--images",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="films to check on; when left out, the dataset's validation split, and drawn films for a bundle",
    )
    options = parser.parse_args(arguments)
    if bool(options.bundle) != bool(options.output):
        raise UserError("--bundle and --output go together, received one of them; name both")
    missing = [name for name in ONNX_PACKAGES if not importlib.util.find_spec(name)]
    if options.format == "onnx" and missing:
        raise UserError(f"--format onnx needs {', '.join(missing)}; python -m pip install 'cxr_keras3[onnx]'")
    return options


if __name__ == "__main__":
    run_command(main)
