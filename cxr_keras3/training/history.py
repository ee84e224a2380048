"""What a run folder shows of its training: a table, learning curves, and a sheet of augmented images."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
from PIL import Image

from cxr_keras3.base import files
from cxr_keras3.images.augment import augment
from cxr_keras3.run.folder import HISTORY
from cxr_keras3.statistics import metrics
from cxr_keras3.statistics.figures import Headlines
from cxr_keras3.training.data import Split

CURVES, CONTACT_SHEET, SEEDS = "history.png", "augmented.png", "seeds.json"
_VERSIONS = 7


def write_history(run_dir: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes `history.csv`, a row an epoch, and the same as curves."""
    with files.replacing(run_dir / HISTORY) as written, written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    figure = matplotlib.figure.Figure(figsize=(9, 3.4 * len(stages)), dpi=110, layout="constrained")
    for (loss, score), stage in zip(figure.subplots(len(stages), 2, squeeze=False), stages, strict=True):
        of_stage = [row for row in rows if row["stage"] == stage]
        epochs = [row["epoch"] for row in of_stage]
        for axes, key in ((loss, "loss"), (score, "macro_f1")):
            axes.plot(epochs, [row[key] for row in of_stage], label="training", color="#8aa4bf")
            axes.plot(epochs, [row[f"val_{key}"] for row in of_stage], label="validation", color="#0b4f8a")
            axes.set(title=f"{stage}: {key.replace('_', ' ')}", xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.25)
        best = max(of_stage, key=lambda row: row["val_macro_f1"])
        score.axvline(best["epoch"], color="#b9480f", linewidth=1, linestyle="--", label=f"kept: epoch {best['epoch']}")
        score.legend()
    with files.replacing(run_dir / CURVES) as written:
        figure.savefig(written)


def write_spread(run_dir: Path, results: Sequence[Headlines]) -> str:
    """Writes `seeds.json`, the headline figures of runs that differ in their seed alone.

    Returns:
        Their means and sample standard deviations in a line.
    """
    found = {}
    for name in metrics.HEADLINES:
        values = [value for result in results if (value := result.headlines()[name].value) is not None]
        if len(values) == len(results):
            found[name] = {
                "values": values,
                "mean": statistics.mean(values),
                "standard_deviation": statistics.stdev(values),
            }
    files.write_json(run_dir / SEEDS, found)
    figures = ", ".join(
        f"{name.replace('_', ' ')} {found[name]['mean']:.3f} ± {found[name]['standard_deviation']:.3f}"
        for name in found
    )
    return f"{len(results)} seeds, test: {figures}; {run_dir / SEEDS}"


def write_contact_sheet(path: Path, split: Split, *, seed: int) -> None:
    """Draws one training image of each class, and beside it what augmentation makes of it."""
    rows = []
    for label in np.unique(split.labels):
        index = int(np.flatnonzero(split.labels == label)[0])
        image = split.images[index]
        versions = [augment(image, seed=(seed, epoch, index)) for epoch in range(_VERSIONS)]
        rows.append(np.hstack([image, *versions])[..., 0])
    sheet = Image.fromarray(np.vstack(rows))
    reduced = sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.BOX)
    with files.replacing(path) as written:
        reduced.save(written)
