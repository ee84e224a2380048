"""Measures a run and audits it for shortcuts; writes metrics, predictions, a report and the model card.

  python -m cxr_keras3.evaluate --images DIR                      the reference model on your images
  python -m cxr_keras3.evaluate runs/first                        on the test split it has not seen
  python -m cxr_keras3.evaluate runs/first --images DIR           on your images, a folder for each class
  python -m cxr_keras3.evaluate runs/first --labels table.csv     on your images, columns path and label
  python -m cxr_keras3.evaluate runs/first --collection rsna nih  on whole collections, built by tfds
  python -m cxr_keras3.evaluate runs/first runs/second            one against the other

Not a medical device: for research only.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError, run_command


def main(arguments: Sequence[str]) -> int:
    """Evaluates, and says where the report is; returns 3 where some of the user's images could not be read."""
    options = parse(arguments)
    from cxr_keras3.run.folder import Run
    from cxr_keras3.workflows import evaluating

    runs = [Run.open(folder) for folder in options.runs or [None]]
    where = {"output": options.output, "runtime": options.runtime}
    if options.collection:
        evaluating.evaluate_collections(runs[0], options.collection, data_dir=options.data_dir, **where)
        return 0
    if options.images or options.labels:
        return evaluating.evaluate_external(runs[0], images=options.images, labels=options.labels, **where)
    where |= {"split": options.split, "data_dir": options.data_dir}
    if len(runs) == 2:
        evaluating.compare(*runs, **where)
    else:
        evaluating.evaluate_split(*runs, sensitivity=options.sensitivity, **where)
    return 0


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
        "--collection", nargs="+", metavar="NAME", help="built collections: figures without what the database holds"
    )
    parser.add_argument(
        "--sensitivity", type=float, metavar="SHARE", help="share of abnormal images to flag; the run's, else 0.9"
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
    if options.collection and (options.images or options.labels or len(options.runs) == 2):
        raise UserError("--collection measures one run on collections alone; leave other images and the other run out")
    if (options.images or options.labels) and len(options.runs) == 2:
        raise UserError("two runs are compared on the dataset they were trained on; leave --images and --labels out")
    if options.sensitivity is not None and (options.images or options.labels or len(options.runs) == 2):
        raise UserError("--sensitivity refits the calibration on the validation split; pass it with a run alone")
    return options


if __name__ == "__main__":
    run_command(main)
