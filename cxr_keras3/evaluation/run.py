"""Measures a run on a split of the dataset and writes metrics, predictions, a report and the model card."""

import datetime as dt
import time
from pathlib import Path
from typing import Any

import numpy as np

from cxr_keras3.evaluation import audit, floors, masks, mistakes, sources, tables
from cxr_keras3.evaluation.measures import measure
from cxr_keras3.evaluation.scoring import Outputs, Scorer
from cxr_keras3.report import pages
from cxr_keras3.run import artifact, calibration
from cxr_keras3.run.calibration import Calibration
from cxr_keras3.training import data
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def evaluate(
    run_dir: Path,
    builder: Builder,
    *,
    split: str,
    output_dir: Path,
    sensitivity: float | None = None,
    runtime: str | None = None,
) -> dict[str, Any]:
    """Scores a split and writes `metrics.json`, `predictions.csv` and `report.html`.

    Evaluating the test split writes the run's model card too.

    Args:
        run_dir: The run folder; its `calibration.json` is fitted on the validation split where it is missing.
        builder: The dataset the run was trained on.
        split: One of `data.SPLITS`.
        output_dir: Where the files go; made where missing.
        sensitivity: Share of abnormal images to flag; the calibration is fitted anew where it aimed at
            another. None keeps it, or takes 0.95.
        runtime: What computes, see `Scorer`.

    Returns:
        What was written to `metrics.json`, see docs/metrics-schema.md.
    """
    started = time.perf_counter()
    manifest = artifact.load_manifest(run_dir)
    scorer = Scorer(run_dir, runtime=runtime)
    validation = data.load(builder, "validation", region=manifest.region)
    tuned = scorer.run(validation.images, "scoring the validation split")
    calibrated = calibration.of_run(
        run_dir, tuned.logits, validation.labels, class_names=manifest.class_names, sensitivity=sensitivity
    )
    examples = data.load(builder, split, region=manifest.region)
    already = scorer.seconds
    outputs = scorer.run(examples.images, f"scoring the {split} split")
    scoring_seconds = scorer.seconds - already
    results = {
        "schema_version": artifact.METRICS_SCHEMA_VERSION,
        "run": manifest.name,
        "split": split,
        "groups": len(np.unique(examples.group_ids)),
        "synthetic": manifest.data["synthetic"],
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        **measure(calibrated, outputs.logits, examples.labels, groups=examples.group_ids),
    }
    # Probes fitted on the images they are scored on would say nothing.
    probed = None if split == "validation" else (tuned.features, validation.labels, validation.sources)
    macro_auroc = results["macro_auroc"]["value"]
    results |= _audited(
        scorer, builder, manifest, examples, outputs, split=split, probed=probed, macro_auroc=macro_auroc
    )
    results["errors"] = _errors(examples, outputs, calibrated)
    seconds = time.perf_counter() - started
    results["timing"] = {
        "total_seconds": round(seconds, 1),
        "model_seconds": round(scorer.seconds, 1),
        "scoring_seconds": round(scoring_seconds, 1),
        "share_outside_the_model": round(1 - scorer.seconds / seconds, 3),
    }
    _write(results, manifest, examples, outputs, calibrated, run_dir=run_dir, output_dir=output_dir)
    return results


def _audited(
    scorer: Scorer,
    builder: Builder,
    manifest: artifact.Manifest,
    examples: data.Split,
    outputs: Outputs,
    *,
    split: str,
    probed: sources.Part | None,
    macro_auroc: float | None,
) -> dict[str, Any]:
    answers = floors.predict(
        floors.clues_of_split(builder, "train", region=manifest.region),
        floors.clues(examples.images, examples.labels, examples.sources),
    )
    names = manifest.class_names
    return {
        "floors": floors.score(answers, examples.labels, groups=examples.group_ids, class_count=len(names)),
        "audit": audit.audit(
            scorer.predict,
            examples,
            masks.load(builder, split, region=manifest.region),
            outputs,
            probed=probed,
            floor_answers=answers,
            class_names=names,
            macro_auroc=macro_auroc,
        ),
    }


def _write(
    results: dict[str, Any],
    manifest: artifact.Manifest,
    examples: data.Split,
    outputs: Outputs,
    calibrated: Calibration,
    *,
    run_dir: Path,
    output_dir: Path,
) -> None:
    probabilities = calibrated.probabilities(outputs.logits)
    output_dir.mkdir(parents=True, exist_ok=True)
    artifact.write_json(output_dir / artifact.METRICS, results)
    columns = {"image_id": examples.image_ids, "group_id": examples.group_ids, "source": examples.sources}
    tables.write_predictions(
        output_dir / artifact.PREDICTIONS, columns, examples.labels, probabilities, calibrated=calibrated
    )
    page = pages.render(results, manifest, examples=examples, outputs=outputs, probabilities=probabilities)
    (output_dir / artifact.REPORT).write_text(page, encoding="utf-8")
    if results["split"] == "test":
        folder = artifact.results_dir(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / artifact.MODEL_CARD).write_text(pages.model_card(results, manifest), encoding="utf-8")


def _errors(examples: data.Split, outputs: Outputs, calibrated: Calibration) -> dict[str, Any]:
    probabilities, class_names = calibrated.probabilities(outputs.logits), calibrated.class_names
    predicted = probabilities.argmax(axis=1)
    names: dict[str, Any] = {"image_ids": examples.image_ids, "class_names": class_names}
    return {
        "most_confident": [
            {
                "image_id": str(examples.image_ids[index]),
                "label": class_names[examples.labels[index]],
                "predicted": class_names[predicted[index]],
                "probability": float(probabilities[index].max()),
            }
            for index in mistakes.most_confident(examples.labels, probabilities)
        ],
        "copies_answered_differently": mistakes.copies_answered_differently(
            examples.labels, predicted, examples.group_ids, **names
        ),
        "likely_label_errors": mistakes.likely_label_errors(
            outputs.features, examples.labels, examples.group_ids, **names
        ),
    }


def describe(results: dict[str, Any]) -> str:
    """The headline figures in a line, with what they are worth."""
    shown = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
    figures = ", ".join(
        f"{name.replace('_', ' ')} {results[name]['value']:.3f} "
        f"({results[name]['low']:.3f} to {results[name]['high']:.3f})"
        for name in shown
        if results[name]["value"] is not None
    )
    note = "; the images are synthetic, these figures say nothing of real ones" if results["synthetic"] else ""
    return f"{results['split']}, {results['images']} images: {figures}{note}; audit: {results['audit']['verdict']}"
