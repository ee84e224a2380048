"""Predictions of labelled images as a table, one row an image: the file `predictions.csv` of an evaluation."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.answers import Answers, named


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of a table.

    Attributes:
        image_ids: (N,), file names without ending.
        labels: int64 (N,).
        probabilities: Calibrated, float64 (N, classes).
    """

    image_ids: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def read_predictions(path: Path, class_names: Sequence[str], *, remedy: str) -> Predictions:
    """Reads a table.

    Args:
        path: The file.
        class_names: In the order of the logits.
        remedy: What to do where it is damaged, for the error.

    Raises:
        UserError: Where it is missing, damaged or of other classes.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        image_ids = np.array([row["image_id"] for row in rows], dtype=np.str_)
        labels = np.array([class_names.index(row["label"]) for row in rows], dtype=np.int64)
        probabilities = np.array([[float(row[name]) for name in class_names] for row in rows], dtype=np.float64)
        if not rows or not ((probabilities >= 0) & (probabilities <= 1)).all():
            raise ValueError("it must have rows, and probabilities in 0..1")  # noqa: TRY301 -- like the others
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is not a table of predictions ({type(error).__name__}: {error}); {remedy}") from error
    return Predictions(image_ids, labels, probabilities)


def write_predictions(
    path: Path,
    columns: Mapping[str, Sequence[str] | np.ndarray],
    labels: np.ndarray,
    answers: Answers,
    *,
    class_names: Sequence[str],
) -> None:
    """Writes a CSV file.

    Args:
        path: Where it goes.
        columns: What identifies each image: column name to N values.
        labels: int (N,).
        answers: Of a calibrated run.
        class_names: In the order of the probabilities.
    """
    if answers.flags is None or answers.prediction_sets is None:
        raise ValueError("predictions are written of a calibrated run")
    columns_after = ("abnormal_score", "flag", "prediction_set", "withheld")
    with files.replacing(path) as written, written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "label", "predicted", *class_names, *columns_after])
        for index, row in enumerate(answers.probabilities):
            writer.writerow(
                [
                    *(values[index] for values in columns.values()),
                    class_names[labels[index]],
                    class_names[answers.predicted[index]],
                    *(f"{value:.6f}" for value in row),
                    f"{answers.abnormal_scores[index]:.6f}",
                    bool(answers.flags[index]),
                    "; ".join(named(answers.prediction_sets[index], class_names)),
                    answers.withheld[index],
                ]
            )
