"""Makes `cxr_keras3/reference`, the model that comes with the package, of a finished run.

    python -m pip install nncf
    python -m tools.make_reference runs/reference --data-dir DATA

What ships is the export to OpenVINO with its weights in 8 bits (a scale for each channel, by NNCF), a quarter of the
size; processors compute with it in float32 or bfloat16 as with any export. Parity with the run's own export on the
validation split, the gate, the evaluation and the model card are all of what ships, not of the run. The report is left
out, for it shows films.
"""

import argparse
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3 import artifact, calibration, data, evaluation, progress
from cxr_keras3.errors import UserError, run_command
from cxr_keras3.inference import batches, finishing, parity, runtimes
from tfds_cxr import reading
from tfds_cxr.tfds_cxr_dataset_builder import Builder

COPIED = (artifact.CALIBRATION, artifact.HISTORY)
LICENCE = Path(__file__).with_name("reference_licence.txt")
MAX_BYTES = 5_000_000


def main(arguments: Sequence[str]) -> int:
    """Writes the folder and says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--output", type=Path, default=artifact.REFERENCE)
    options = parser.parse_args(arguments)
    builder = reading.find(options.data_dir)
    shutil.rmtree(options.output, ignore_errors=True)
    folder = runtimes.export_folder(options.output, "openvino")
    folder.mkdir(parents=True)
    manifest = artifact.load_manifest(options.run)
    weights = Path(manifest.config["weights"]).name  # where it lay is nobody's business
    described = dataclasses.replace(
        manifest, name=artifact.REFERENCE.name, config={**manifest.config, "weights": weights}
    )
    artifact.write_manifest(options.output, described)
    for name in COPIED:
        shutil.copy(options.run / name, options.output)
    shutil.copy(LICENCE, options.output / "LICENSE.txt")
    compress(runtimes.export_folder(options.run, "openvino"), folder)
    parity.save(compare(options.run, options.output, builder), folder)
    finishing.fit_gate(options.output, builder)
    results = evaluation.evaluate(
        options.output, builder, split="test", output_dir=options.output / artifact.EVALUATION
    )
    (options.output / artifact.EVALUATION / evaluation.REPORT).unlink()
    shutil.move(artifact.results_dir(options.output) / artifact.MODEL_CARD, options.output / artifact.MODEL_CARD)
    size = sum(file.stat().st_size for file in options.output.rglob("*") if file.is_file())
    progress.say(evaluation.describe(results))
    progress.say(f"{options.output}: {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        raise UserError(f"the reference model must have at most {MAX_BYTES / 1e6:g} MB, this has {size / 1e6:.2f}")
    return 0


def compress(source: Path, target: Path) -> None:
    """Writes an export's graph with its weights in 8 bits."""
    openvino = runtimes.import_openvino()
    import nncf  # noqa: PLC0415 -- not needed but here, and after OpenVINO without its telemetry

    graph = openvino.Core().read_model(source / runtimes.OPENVINO_MODEL)
    depthwise = nncf.IgnoredScope(types=["GroupConvolution"])  # few, and the ones that 8 bits would harm
    compressed = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=depthwise)
    openvino.save_model(compressed, target / runtimes.OPENVINO_MODEL, compress_to_fp16=False)


def compare(run_dir: Path, reference: Path, builder: Builder) -> parity.Parity:
    """How near the compressed graph comes to the run's own on the validation split.

    Raises:
        UserError: Where it would decide otherwise.
    """
    fitted = calibration.load(run_dir / artifact.CALIBRATION)
    images = data.load(builder, "validation").images
    before = runtimes.export_folder(run_dir, "openvino")
    expected = batches.run(runtimes.OpenVINORuntime(before, "float32"), images, task="as exported")
    found = {}
    for precision in ("float32", "bfloat16"):
        runtime = runtimes.OpenVINORuntime(runtimes.export_folder(reference, "openvino"), precision)
        found[precision] = parity.compare(expected, batches.run(runtime, images, task=precision), fitted)
        progress.say(f"8 bits in {precision}: {found[precision]}")
    if not found["float32"].decides_alike:
        raise UserError(f"the compressed graph must decide as the run's own, it does not: {found['float32']}")
    return dataclasses.replace(
        parity.load(before),
        source="the validation split, against the same model with weights in float32",
        images=len(images),
        float32=found["float32"],
        bfloat16=found["bfloat16"],
    )


if __name__ == "__main__":
    run_command(main)
