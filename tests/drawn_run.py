"""A run folder with a small OpenVINO graph in place of a trained one: known truth, and no Keras."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxr_keras3.base import records
from cxr_keras3.run import calibration, gate
from cxr_keras3.run.folder import CALIBRATION, EVALUATION, EXPORTS, GATE, MANIFEST, METRICS, MODEL_CARD, Run
from cxr_keras3.run.manifest import INPUT_CONTRACT, SCHEMA_VERSION, Manifest
from cxr_keras3.run.parity import PARITY, Agreement, Parity
from cxr_keras3.serving import runtimes
from cxr_keras3.statistics.metrics import HEADLINES
from tfds_cxr.labels import LABELS

WEIGHTS = np.array([[3.0, 1.0, -2.0, 0.5]], dtype=np.float32)  # one feature to four logits
EQUAL = Agreement(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def expected_probabilities(pixels: np.ndarray, *, temperature: float) -> np.ndarray:
    """What the graph gives for uint8 (299, 299): the softmax of the weighted mean brightness of its 298 x 298."""
    logits = pixels[:298, :298].mean() / 255.0 * WEIGHTS[0] / temperature
    return np.exp(logits) / np.exp(logits).sum()


def write(folder: Path, *, temperature: float | None = 2.0, synthetic: bool = False) -> Path:
    """Writes manifest, export and, where a temperature is given, calibration."""
    export = folder / EXPORTS / "openvino"
    export.mkdir(parents=True)
    _write_graph(export / runtimes.OPENVINO_MODEL, temperature or 1.0)
    records.write(export / PARITY, Parity(2, "openvino", 8, "drawn", temperature or 1.0, "any", EQUAL, None))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=folder.name,
        created="2026-01-01T00:00:00+00:00",
        class_names=LABELS,
        input=INPUT_CONTRACT,
        backend="jax",
        config={"backbone": "mobilenet_025"},
        data={"synthetic": synthetic, "listing_fingerprint": "drawn"},
        validation={},
        packages={},
    )
    records.write(folder / MANIFEST, manifest)
    if temperature is not None:
        thresholds = dict.fromkeys(calibration.COVERAGES, (0.9,) * len(LABELS))
        fitted = calibration.Calibration(1, temperature, 0.95, 0.5, thresholds, LABELS, "validation", 100)
        records.write(folder / CALIBRATION, fitted)
    return folder


def _write_graph(path: Path, temperature: float) -> None:
    openvino = runtimes.import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([-1, 299, 299, 1], np.uint8, name="image")
    grey = ops.divide(ops.convert(images, "f32"), np.float32(255.0))
    pooled = ops.avg_pool(ops.transpose(grey, [0, 3, 1, 2]), [149, 149], [0, 0], [0, 0], [149, 149], False)
    cells = ops.transpose(pooled, [0, 2, 3, 1])  # (B, 2, 2, 1)
    maps = ops.matmul(cells, ops.constant(WEIGHTS), False, False)
    logits = ops.reduce_mean(maps, [1, 2])
    outputs = {
        "logits": logits,
        "probabilities": ops.softmax(ops.divide(logits, np.float32(temperature)), 1),
        "activation_maps": maps,
        "features": ops.reshape(cells, [0, 4], True),
    }
    results = []
    for name, node in outputs.items():
        result = ops.result(node)
        result.output(0).tensor.set_names({name})
        results.append(result)
    openvino.save_model(openvino.Model(results, [images]), path, compress_to_fp16=False)


def write_films(folder: Path, count: int) -> list[Path]:
    """Writes PNGs of rising brightness with a little noise; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 40, (299, 299))
        files.append(folder / f"{index:03d}.png")
        Image.fromarray((noise + index * 200 // max(count, 1)).astype(np.uint8)).save(files[-1])
    return files


def write_evaluation(folder: Path, *, verdict: str = "WARN", synthetic: bool = False) -> dict[str, Any]:
    """Writes an evaluation with known figures beside a drawn run: 100 films, 90 of which it gets right."""
    evaluation = folder / EVALUATION
    evaluation.mkdir()
    labels = np.repeat(np.arange(4), 25)
    probabilities = np.full((100, 4), 0.1) + 0.6 * np.eye(4)[(labels + (np.arange(100) % 10 == 0)) % 4]
    answers = probabilities.argmax(axis=1)
    matrix = [[int(((labels == row) & (answers == column)).sum()) for column in range(4)] for row in range(4)]
    headlines = dict.fromkeys(HEADLINES, figure(0.9))
    results = {
        "schema_version": 3,
        "run": folder.name,
        "split": "test",
        "images": 100,
        "groups": 80,
        "synthetic": synthetic,
        **headlines,
        "by_class": {name: {"auroc": figure(0.95)} for name in LABELS},
        "confusion_matrix": matrix,
        "calibration": {
            "temperature": 2.0,
            **{when: {"expected_calibration_error": figure(0.05)} for when in ("before", "after")},
        },
        "triage": {
            "sensitivity_aimed_at": 0.95,
            "threshold": 0.5,
            "sensitivity": figure(0.953),
            "specificity": figure(0.8),
            "by_prevalence": {
                share: dict.fromkeys(
                    ("positive_predictive_value", "negative_predictive_value", "abnormal_missed_per_thousand"),
                    figure(0.7),
                )
                for share in ("0.1", "0.5")
            },
        },
        "floors": {"thumbnail": figure(0.7), "border_only": figure(0.6)},
        "audit": {"verdict": verdict, "reasons": [{"level": "WARN", "rule": "confounded", "text": "a <reason>"}]},
    }
    (evaluation / METRICS).write_text(json.dumps(results))
    with (evaluation / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "label", *LABELS])
        for index, row in enumerate(probabilities):
            writer.writerow([index, LABELS[labels[index]], *(f"{value:.6f}" for value in row)])
    (evaluation / "report.html").write_text("<p>the report")
    (folder / MODEL_CARD).write_text("---\nlicense: other\n---\n\n# The model card\n")
    return results


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.04, "high": value + 0.04}


def write_gate(folder: Path, films: np.ndarray) -> None:
    """Fits the gate of a drawn run to films, uint8 (N, 299, 299, 1)."""
    runtime = runtimes.load_runtime(Run.open(folder), "openvino")
    features = runtime.start(films)().features
    gate.save(gate.fit(features, features, images_train=films), folder / GATE)
