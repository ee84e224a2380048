"""Measures a run and audits it for shortcuts; writes metrics, predictions, a report and the model card.

  python -m cxr_keras3.evaluate --images DIR                      the reference model on your images
  python -m cxr_keras3.evaluate runs/first                        on the test split it has not seen
  python -m cxr_keras3.evaluate runs/first --images DIR           on your images, a folder for each class
  python -m cxr_keras3.evaluate runs/first --labels table.csv     on your images, columns path and label
  python -m cxr_keras3.evaluate runs/first runs/second            one against the other

Not a medical device: for research only.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError, run_command

if TYPE_CHECKING:
    from tfds_cxr.tfds_cxr_dataset_builder import Builder


def main(arguments: Sequence[str]) -> int:
    """Evaluates, and says where the report is; returns 3 where some of the user's images could not be read."""
    options = parse(arguments)
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it

    options.runs = options.runs or [artifact.REFERENCE]
    for run_dir in options.runs:
        artifact.load_manifest(run_dir)
    if options.sensitivity is not None and any(map(artifact.is_reference, options.runs)):
        raise UserError(
            "--sensitivity writes a run's calibration anew, and that of the reference model belongs to the "
            f"installation; copy {artifact.REFERENCE} and pass the copy"
        )
    if options.images or options.labels:
        return evaluate_external(options)
    if len(options.runs) == 2:
        return compare(options)
    return evaluate(options)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN",
        help="run folder; two to compare them; the reference model when left out",
    )
    parser.add_argument(
        "--split", default="test", choices=["train", "validation", "test"], help="what to score; default: test"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="your images, in a folder for each class")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="your images: columns path and label")
    parser.add_argument(
        "--sensitivity", type=float, metavar="SHARE", help="share of abnormal images to flag; the run's, else 0.95"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument(
        "--output", type=Path, help="folder for the results; a folder in RUN, or runs/reference, when left out"
    )
    parser.add_argument(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; the export to OpenVINO where RUN has one, else Keras on $KERAS_BACKEND or jax",
    )
    options = parser.parse_args(arguments)
    if len(options.runs) > 2:
        raise UserError(f"one run is evaluated or two are compared, received {len(options.runs)}; name at most two")
    if options.images and options.labels:
        raise UserError("your images are named by --images or by --labels, received both; leave one out")
    if (options.images or options.labels) and len(options.runs) == 2:
        raise UserError("two runs are compared on the dataset they were trained on; leave --images and --labels out")
    if options.sensitivity is not None and (options.images or options.labels or len(options.runs) == 2):
        raise UserError("--sensitivity refits the calibration on the validation split; pass it with a run alone")
    return options


def evaluate(options: argparse.Namespace) -> int:
    """Evaluates a run on a split."""
    from cxr_keras3 import evaluation  # noqa: PLC0415 -- --help answers without it
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it

    (run_dir,) = options.runs
    output = options.output or artifact.results_dir(run_dir) / (
        artifact.EVALUATION if options.split == "test" else options.split
    )
    results = evaluation.evaluate(
        run_dir,
        find_dataset(options),
        split=options.split,
        output_dir=output,
        sensitivity=options.sensitivity,
        runtime=options.runtime,
    )
    progress.say(evaluation.describe(results))
    for reason in results["audit"]["reasons"]:
        progress.say(f"{reason['level']}: {reason['text']}")
    progress.say(f"report: {output / artifact.REPORT}")
    return 0


def evaluate_external(options: argparse.Namespace) -> int:
    """Evaluates a run on the user's images."""
    from cxr_keras3.evaluation import external  # noqa: PLC0415
    from cxr_keras3.report import pages  # noqa: PLC0415
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it

    (run_dir,) = options.runs
    manifest = artifact.load_manifest(run_dir)
    manifest.require_whole_images()
    source = options.images or options.labels
    read = external.from_folder if options.images else external.from_table
    output = options.output or artifact.results_dir(run_dir) / f"external-{source.stem}"
    results = external.evaluate(run_dir, read(source, manifest.class_names), output_dir=output, runtime=options.runtime)
    progress.say(f"{results['images']} images: accuracy {pages.figure_text(results['accuracy'])}")
    for row in results["unreadable"]:
        progress.say(f"not read: {row['file']}: {row['reason']}")
    progress.say(f"report: {output / artifact.REPORT}")
    return SOME_FILES_REFUSED_EXIT_CODE if results["unreadable"] else 0


def compare(options: argparse.Namespace) -> int:
    """Compares two runs on a split."""
    from cxr_keras3.evaluation import comparison  # noqa: PLC0415
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it
    from cxr_keras3.training import data  # noqa: PLC0415 -- --help answers without it

    first, second = options.runs
    output = options.output or artifact.results_dir(first) / artifact.EVALUATION / f"against-{second.name}"
    region = artifact.load_manifest(first).region
    examples = data.load(find_dataset(options), options.split, region=region)
    results = comparison.compare(
        (first, second), examples, split=options.split, output_dir=output, runtime=options.runtime
    )
    gain = results["difference"]["accuracy"]
    progress.say(
        f"accuracy of {results['runs'][1]} less that of {results['runs'][0]}: {gain['value']:+.3f} "
        f"({gain['low']:+.3f} to {gain['high']:+.3f}); McNemar p = {results['mcnemar']['p_value']:.3g}"
    )
    progress.say(f"comparison: {output / comparison.COMPARISON_PAGE}")
    return 0


def find_dataset(options: argparse.Namespace) -> "Builder":
    """The dataset that every run named was trained on.

    Raises:
        UserError: Where it is another.
    """
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it
    from tfds_cxr import reading  # noqa: PLC0415

    builder = reading.find(options.data_dir)
    for run_dir in options.runs:
        artifact.load_manifest(run_dir).require_trained_on(builder)
    return builder


if __name__ == "__main__":
    run_command(main)
