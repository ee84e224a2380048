"""Exports a run to OpenVINO, ONNX, LiteRT or a TensorFlow SavedModel, checked against the Keras model.

One graph from uint8 images (B, 299, 299, 1) to probabilities, activation maps and pooled features, with the
calibration folded in. It is written to RUN/export/FORMAT/, with the figures of the check in parity.json.

Example: python -m cxr_keras3.export runs/first --format openvino
"""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command

if TYPE_CHECKING:
    import numpy as np

    from cxr_keras3.run.artifact import Manifest

FORMATS = ("openvino", "onnx", "litert", "saved_model")
MAX_IMAGES = 512
MIN_IMAGES = 8
ONNX_PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def main(arguments: Sequence[str]) -> int:
    """Exports, and says how near the export comes to the model."""
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
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it

    manifest = artifact.load_manifest(options.run)
    missing = [name for name in ONNX_PACKAGES if not importlib.util.find_spec(name)]
    if options.format == "onnx" and missing:
        raise UserError(f"--format onnx needs {', '.join(missing)}; python -m pip install 'cxr_keras3[onnx]'")
    progress.say("starting Keras on tensorflow, whose exporters work for models of every backend")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a training that waits for us may hold the GPU
    selection.select("tensorflow")
    from cxr_keras3.serving import exporting  # noqa: PLC0415 -- only now is the backend chosen

    films, source = _decoded(options.images) if options.images else _validation_images(manifest, options.data_dir)
    found = exporting.export(options.run, options.format, films=films, source=source)
    for precision in ("float32", "bfloat16"):
        agreement = getattr(found, precision)
        if agreement is not None:
            progress.say(
                f"{precision} against Keras on {found.images} images ({source}): same class {agreement.top1:.2%}, "
                f"probabilities differ by {agreement.probabilities_mean:.1e} on average and "
                f"{agreement.probabilities_largest:.1e} at most"
            )
    if found.bfloat16 is not None:
        verdict = "is" if found.bfloat16.decides_alike else "is not"
        progress.say(f"bfloat16 {verdict} near enough to be used")
    progress.say(f"export: {options.run / 'export' / options.format}")
    return 0


def _decoded(files: Sequence[Path]) -> tuple["np.ndarray", str]:
    import numpy as np  # noqa: PLC0415 -- --help answers without it

    from cxr_keras3 import images  # noqa: PLC0415

    if len(files) < MIN_IMAGES:
        raise UserError(f"--images must name at least {MIN_IMAGES} films to compare on, received {len(files)}")
    films = [images.canonical(images.decode(file).pixels) for file in files]
    return np.stack(films), "files named with --images"


def _validation_images(manifest: "Manifest", data_dir: Path | None) -> tuple["np.ndarray", str]:
    """Images of the validation split of the run's dataset, at most `MAX_IMAGES`, evenly spaced."""
    import numpy as np  # noqa: PLC0415 -- --help answers without it

    from tfds_cxr import reading  # noqa: PLC0415

    builder = reading.find(data_dir)
    manifest.require_trained_on(builder)
    count = builder.info.splits["validation"].num_examples
    chosen = set(np.linspace(0, count - 1, min(count, MAX_IMAGES)).astype(int).tolist())
    rows = enumerate(reading.read(builder, "validation", encoded=("mask",)))
    films = [np.asarray(row["image"]) for index, row in rows if index in chosen]
    return np.stack(films), f"validation split of {builder.name} {builder.version}"


if __name__ == "__main__":
    run_command(main)
