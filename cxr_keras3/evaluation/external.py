"""Measures a run on anybody's images: a folder for each class, or a table of paths and labels."""

import csv
import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_keras3 import images
from cxr_keras3.base import progress, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation.measures import measure
from cxr_keras3.lungs.showing import Row, Showing
from cxr_keras3.report import pages
from cxr_keras3.run.answers import answer
from cxr_keras3.run.external import ExternalMetrics, Internal, Unreadable
from cxr_keras3.run.folder import METRICS, PREDICTIONS, REPORT, Run
from cxr_keras3.run.metrics import SCHEMA_VERSION, FlagFigures
from cxr_keras3.run.predictions import write_predictions
from cxr_keras3.serving import batches, runtimes


@dataclass(frozen=True)
class Labelled:
    """A file and the number of its class."""

    file: Path
    label: int


def from_folder(folder: Path, class_names: Sequence[str]) -> list[Labelled]:
    """The files below a folder that holds a folder for each class, in the order of their names.

    Raises:
        UserError: Where there are none, or a folder is not named after a class.
    """
    if not folder.is_dir():
        raise UserError(f"--images must be a folder with a folder for each class, received {folder}")
    found = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        label = _label(part.name, class_names, where=f"the folders of {folder}")
        files = sorted(file for file in part.rglob("*") if file.is_file() and not file.name.startswith("."))
        found += [Labelled(file, label) for file in files]
    if not found:
        raise UserError(f"--images must hold images in folders named {', '.join(class_names)}, {folder} does not")
    return found


def from_table(path: Path, class_names: Sequence[str]) -> list[Labelled]:
    """The files that a CSV file lists in its columns `path` (from its own folder) and `label`.

    Raises:
        UserError: Where it lists none, lacks a column, or a label is not a class.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--labels must be a CSV file, {path} cannot be read: {error}") from error
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise UserError(f"--labels must have the columns path and label and at least one row, {path} has not")
    return [
        Labelled(
            path.parent / (row["path"] or ""), _label(row["label"] or "", class_names, where=f"the labels of {path}")
        )
        for row in rows
    ]


def _label(name: str, class_names: Sequence[str], *, where: str) -> int:
    by_name = {known.casefold(): index for index, known in enumerate(class_names)}
    if name.strip().casefold() not in by_name:
        raise UserError(
            f"{where} must be of {', '.join(class_names)}; received {name!r}: rename it, or say with --labels which "
            "class it counts as"
        )
    return by_name[name.strip().casefold()]


def evaluate(
    run: Run, labelled: Sequence[Labelled], *, output_dir: Path, runtime: str | None = None
) -> ExternalMetrics:
    """Scores the files and writes `predictions.csv`, `report.html` and, last, `metrics.json`.

    Files with the same pixels count as one group; the files say nothing of patients. A run that was trained on a region
    is shown that, and films on which no lung is found count as not read.

    Args:
        run: The run, with its calibration; its own figures are shown beside these where it has them.
        labelled: The files, from `from_folder` or `from_table`.
        output_dir: Where the files go; made where missing.
        runtime: See `runtimes.load_runtime`.

    Raises:
        UserError: Where the run is not calibrated, or no file can be read.
    """
    run.required_calibration  # noqa: B018 -- asked for before anything is read
    read, films, unreadable = _decode(labelled, Showing.of(run))
    if not read:
        raise UserError(f"no file could be read, the first because {unreadable[0].reason}; pass readable images")
    labels = np.array([item.label for item in read])
    groups = np.array([hashlib.sha256(film.tobytes()).hexdigest() for film in films])
    model = runtimes.load_runtime(run, runtime, precision="float32")
    outputs = batches.run(model, films, task="scoring the images")
    answers = answer(run, outputs.logits, outputs.features)
    probabilities = answers.probabilities
    metrics = ExternalMetrics(
        **vars(measure(run, outputs.logits, answers, labels, groups=groups)),
        schema_version=SCHEMA_VERSION,
        run=run.name,
        split="external",
        groups=len(np.unique(groups)),
        synthetic=False,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        unreadable=tuple(unreadable),
        internal=_internal(run),
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / METRICS).unlink(missing_ok=True)
    columns = {"file": [str(item.file) for item in read]}
    write_predictions(output_dir / PREDICTIONS, columns, labels, answers, class_names=run.class_names)
    pages.write_external_report(output_dir / REPORT, metrics, run.manifest, labels=labels, probabilities=probabilities)
    records.write(output_dir / METRICS, metrics)
    return metrics


def _decode(labelled: Sequence[Labelled], showing: Showing) -> tuple[list[Labelled], np.ndarray, list[Unreadable]]:
    """The files that could be read, uint8 (N, 299, 299, 1) as the model is shown them, and why the others could not."""
    decoded: list[Row] = []
    read, films, unreadable = [], [], []
    for item in progress.track(labelled, description="reading the images"):
        try:
            decoded.append({"item": item, "image": images.canonical(images.decode(item.file).pixels)})
        except images.ImageError as error:
            unreadable.append(Unreadable(file=str(item.file), reason=str(error)))
    for row, film in showing.shown(decoded):
        read.append(row["item"])
        films.append(film)
    without = {row["item"].file for row in decoded} - {item.file for item in read}
    unreadable += [Unreadable(file=str(file), reason="no lungs are found on it") for file in sorted(without)]
    return read, np.array(films), unreadable


def _internal(run: Run) -> Internal | None:
    """What the run's own evaluation found on its test split; None where it has none."""
    found = run.metrics
    if found is None:
        return None
    triage = found.triage
    return Internal(
        **found.headlines(),
        split=found.split,
        images=found.images,
        recall={name: row.recall for name, row in found.by_class.items()},
        triage=FlagFigures(auroc=triage.auroc, sensitivity=triage.sensitivity, specificity=triage.specificity),
    )
