"""Measures a run on a split of the dataset and writes metrics, predictions and a report."""

import base64
import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import jinja2
import keras
import matplotlib.figure
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from cxr_keras3 import artifact, data, metrics
from tfds_cxr.tfds_cxr_dataset_builder import Builder

SCHEMA_VERSION = 1
METRICS, PREDICTIONS, REPORT = "metrics.json", "predictions.csv", "report.html"


def evaluate(
    model: keras.Model, manifest: artifact.Manifest, builder: Builder, *, split: str, output_dir: Path
) -> dict[str, Any]:
    """Scores a split and writes `metrics.json`, `predictions.csv` and `report.html`.

    Args:
        model: The run's model, from `artifact.load_model`.
        manifest: The run's manifest.
        builder: The dataset the run was trained on.
        split: One of `data.SPLITS`.
        output_dir: Where the files go; made where missing.

    Returns:
        What was written to `metrics.json`.
    """
    examples = data.load(builder, split)
    logits = data.predict(model, examples.images, task=f"scoring the {split} split")
    probabilities = metrics.softmax(logits)
    predicted = probabilities.argmax(axis=1)
    names = manifest.class_names
    results = {
        "schema_version": SCHEMA_VERSION,
        "run": manifest.name,
        "split": split,
        "images": len(examples),
        "groups": len(np.unique(examples.group_ids)),
        "synthetic": manifest.data["synthetic"],
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        **metrics.headline_figures(examples.labels, probabilities, groups=examples.group_ids),
        "by_class": metrics.by_class(examples.labels, predicted, class_names=names),
        "confusion_matrix": metrics.confusion_matrix(examples.labels, predicted, class_count=len(names)),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    artifact.write_json(output_dir / METRICS, results)
    _write_predictions(output_dir / PREDICTIONS, examples, probabilities, names)
    (output_dir / REPORT).write_text(_report(results, manifest), encoding="utf-8")
    return results


def describe(results: dict[str, Any]) -> str:
    """The headline figures in a line, with what they are worth."""
    figures = ", ".join(
        f"{name.replace('_', ' ')} {results[name]['value']:.3f} "
        f"({results[name]['low']:.3f} to {results[name]['high']:.3f})"
        for name in metrics.HEADLINES
        if results[name]["value"] is not None
    )
    note = "; the images are synthetic, these figures say nothing of real ones" if results["synthetic"] else ""
    return f"{results['split']}, {results['images']} images: {figures}{note}"


def _write_predictions(path: Path, examples: data.Split, probabilities: np.ndarray, names: tuple[str, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "group_id", "source", "label", "predicted", *names])
        for index, row in enumerate(probabilities):
            writer.writerow(
                [
                    examples.image_ids[index],
                    examples.group_ids[index],
                    examples.sources[index],
                    names[examples.labels[index]],
                    names[int(row.argmax())],
                    *(f"{value:.6f}" for value in row),
                ]
            )


def _report(results: dict[str, Any], manifest: artifact.Manifest) -> str:
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("cxr_keras3", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("report.html")
    return template.render(
        results=results,
        manifest=manifest,
        headlines=list(metrics.HEADLINES),
        confusion_matrix=_confusion_matrix_picture(results["confusion_matrix"], manifest.class_names),
    )


def _confusion_matrix_picture(matrix: list[list[int]], names: tuple[str, ...]) -> str:
    """The matrix as a PNG data URI, shaded by the share of the true class."""
    counts = np.array(matrix)
    figure = matplotlib.figure.Figure(figsize=(6.2, 5.2), dpi=110)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=names)
    display.plot(ax=axes, include_values=False, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "#1b2a3a"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=12)
    axes.set(xlabel="predicted", ylabel="true")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
