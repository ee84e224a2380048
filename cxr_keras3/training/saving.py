"""Makes a trained classifier a run: its model, its calibration and, last, its manifest."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from cxr_keras3.run import artifact, calibration
from cxr_keras3.statistics import metrics
from cxr_keras3.training import data
from tfds_cxr.labels import LABELS


def save(
    model: keras.Model,
    run_dir: Path,
    *,
    config: Mapping[str, Any],
    backend: str,
    described: Mapping[str, Any],
    validation: data.Split,
) -> None:
    """Makes a trained classifier a run: writes the model, its calibration and, last, its manifest.

    Args:
        model: A model from `classifier.build` or `classifier.mean`, trained.
        run_dir: An existing folder.
        config: How it was trained, as the manifest is to say it.
        backend: The Keras backend it was trained on.
        described: On what, see `data.description`.
        validation: The split that it is calibrated on.
    """
    partial = run_dir / f"partial-{artifact.MODEL}"  # Keras wants the .keras ending
    model.save(partial)
    partial.replace(run_dir / artifact.MODEL)
    logits = data.predict(model, validation.images, task="validation")
    figures = metrics.headline_figures(validation.labels, metrics.softmax(logits), groups=validation.group_ids)
    fitted = calibration.fit(logits, validation.labels, class_names=LABELS)
    calibration.save(fitted, run_dir / artifact.CALIBRATION)
    manifest = artifact.Manifest(
        schema_version=artifact.SCHEMA_VERSION,
        name=run_dir.name,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        class_names=LABELS,
        input=artifact.INPUT_CONTRACT,
        backend=backend,
        config=config,
        data=described,
        validation=figures,
        packages=artifact.package_versions(),
    )
    artifact.write_manifest(run_dir, manifest)
