"""Predictions as a table, one row an image."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cxr_keras3.run.calibration import Calibration


def write_predictions(
    path: Path,
    columns: Mapping[str, Sequence[str] | np.ndarray],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    calibrated: Calibration,
) -> None:
    """Writes a CSV file.

    Args:
        path: Where it goes.
        columns: What identifies each image: column name to N values.
        labels: int (N,).
        probabilities: Calibrated, float (N, classes).
        calibrated: Gives the abnormal score, the flag and the prediction set at 90 % coverage.
    """
    names = calibrated.class_names
    scores = calibrated.abnormal_score(probabilities)
    flags, sets = calibrated.flag(scores), calibrated.prediction_sets(probabilities)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "label", "predicted", *names, "abnormal_score", "flag", "prediction_set"])
        for index, row in enumerate(probabilities):
            writer.writerow(
                [
                    *(values[index] for values in columns.values()),
                    names[labels[index]],
                    names[int(row.argmax())],
                    *(f"{value:.6f}" for value in row),
                    f"{scores[index]:.6f}",
                    bool(flags[index]),
                    "; ".join(name for name, inside in zip(names, sets[index], strict=True) if inside),
                ]
            )
