"""Scores chest X-ray files: a probability for each class, and how abnormal the film looks.

Not a medical device: for research only.

Example: python -m cxr_keras3.predict --model runs/first film.png --output results.csv
"""

import argparse
import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cxr_keras3 import _backend, progress
from cxr_keras3.errors import UserError, run_command

if TYPE_CHECKING:
    from cxr_keras3.inference import Prediction

SOME_FILES_REJECTED_EXIT_CODE = 3


def main(arguments: Sequence[str]) -> int:
    """Scores the files named; returns 3 where some of several could not be."""
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="image file, or folder of them")
    parser.add_argument("--model", type=Path, metavar="RUN", help="run folder; the latest in runs/ when left out")
    parser.add_argument("--output", type=Path, help="write to this .csv or .jsonl file rather than to the terminal")
    parser.add_argument("--backend", default="jax", choices=_backend.BACKENDS, help="default: jax")
    options = parser.parse_args(arguments)
    files = list_files(options.inputs)
    if options.output and options.output.suffix not in (".csv", ".jsonl"):
        raise UserError(f"--output must end in .csv or .jsonl, received {options.output}")
    from cxr_keras3 import artifact  # noqa: PLC0415 -- --help answers without it

    run_dir = options.model or artifact.latest_run()
    artifact.load_manifest(run_dir)
    progress.say(f"model: {run_dir}")
    _backend.select(options.backend)
    from cxr_keras3 import inference  # noqa: PLC0415 -- only now is the backend chosen

    predictor = inference.load(run_dir)
    scored = zip(progress.track(files, description="scoring"), predictor.predict(files), strict=True)
    predictions = [prediction for _, prediction in scored]
    rejected = [prediction for prediction in predictions if not prediction.accepted]
    if len(rejected) == len(predictions):
        reasons = "; ".join(f"{prediction.file}: {prediction.reject_reason}" for prediction in rejected)
        raise UserError(f"no file could be scored: {reasons}")
    if options.output:
        write(options.output, predictions, class_names=predictor.manifest.class_names)
    else:
        show(predictions, class_names=predictor.manifest.class_names)
    for prediction in rejected:
        progress.say(f"not scored: {prediction.file}: {prediction.reject_reason}")
    return SOME_FILES_REJECTED_EXIT_CODE if rejected else 0


def list_files(inputs: Sequence[Path]) -> list[Path]:
    """The files named and those below the folders named, hidden ones left out, in the order of their names.

    Raises:
        UserError: Where an input does not exist, or there is no file in any.
    """
    files = []
    for path in inputs:
        if not path.exists():
            raise UserError(f"an input must be an existing file or folder, received {path}")
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [file for file in below if file.is_file() and not file.name.startswith(".")]
    if not files:
        raise UserError(f"there must be at least one file to score, found none in {', '.join(map(str, inputs))}")
    return files


def show(predictions: Sequence["Prediction"], *, class_names: Sequence[str]) -> None:
    """Prints a table, one row a file."""
    table = Table("file", *class_names, "label", "abnormal")
    for prediction in predictions:
        if prediction.accepted and prediction.abnormal_score is not None:
            values = [f"{prediction.probabilities[name]:.4f}" for name in class_names]
            table.add_row(prediction.file, *values, prediction.label, f"{prediction.abnormal_score:.4f}")
    Console().print(table)


def write(path: Path, predictions: Sequence["Prediction"], *, class_names: Sequence[str]) -> None:
    """Writes predictions as CSV, or as JSON lines, one a file; those not accepted with their reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(dataclasses.asdict(prediction)) + "\n" for prediction in predictions)
            return
        writer = csv.writer(file)
        writer.writerow(
            [
                "file",
                "accepted",
                "reject_reason",
                *class_names,
                "label",
                "abnormal_score",
                "warnings",
                "model",
            ]
        )
        for prediction in predictions:
            writer.writerow(
                [
                    prediction.file,
                    prediction.accepted,
                    prediction.reject_reason,
                    *(prediction.probabilities.get(name, "") for name in class_names),
                    prediction.label,
                    "" if prediction.abnormal_score is None else prediction.abnormal_score,
                    "; ".join(prediction.warnings),
                    prediction.model,
                ]
            )


if __name__ == "__main__":
    run_command(main)
