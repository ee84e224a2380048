"""Measures a run on a split of the dataset it was trained on, and writes metrics and a report.

Example: python -m cxr_keras3.evaluate runs/first --split validation
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3 import _backend, progress
from cxr_keras3.errors import UserError, run_command


def main(arguments: Sequence[str]) -> int:
    """Evaluates, and says where the report is."""
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--split", default="test", choices=["train", "validation", "test"], help="default: test")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--output", type=Path, help="folder for the results; RUN/evaluation when left out")
    parser.add_argument("--backend", default="jax", choices=_backend.BACKENDS, help="default: jax")
    options = parser.parse_args(arguments)
    from cxr_keras3 import artifact  # noqa: PLC0415 -- --help answers without it

    manifest = artifact.load_manifest(options.run)
    _backend.select(options.backend)
    from cxr_keras3 import data, evaluation  # noqa: PLC0415 -- only now is the backend chosen
    from tfds_cxr import reading  # noqa: PLC0415

    builder = reading.find(options.data_dir)
    if data.description(builder)["listing_fingerprint"] != manifest.data["listing_fingerprint"]:
        raise UserError(
            f"a run must be evaluated on the dataset it was trained on, {builder.data_path} was built from other "
            "files, some of which it may have been trained on; pass the --data-dir used in training"
        )
    output = options.output or options.run / artifact.EVALUATION
    results = evaluation.evaluate(
        artifact.load_model(options.run), manifest, builder, split=options.split, output_dir=output
    )
    progress.say(evaluation.describe(results))
    progress.say(f"report: {output / evaluation.REPORT}")
    return 0


if __name__ == "__main__":
    run_command(main)
