"""Makes a trained classifier a run: its model, its calibration and, last, its manifest."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from cxr_keras3.base import files, records
from cxr_keras3.base.version import package_versions
from cxr_keras3.run import abnormality, calibration
from cxr_keras3.run.folder import ABNORMALITY, CALIBRATION, MANIFEST, MODEL
from cxr_keras3.run.manifest import INPUT_CONTRACT, SCHEMA_VERSION, Manifest
from cxr_keras3.serving import batches, graph
from cxr_keras3.serving.runtimes import FunctionRuntime
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
        model: A model from `classifier.build_classifier` or `classifier.mean`, trained.
        run_dir: An existing folder.
        config: How it was trained, as the manifest is to say it.
        backend: The Keras backend it was trained on.
        described: On what, see `data.description`.
        validation: The split that it is calibrated on.
    """
    with files.replacing(run_dir / MODEL) as written:
        model.save(written)
    runtime = FunctionRuntime(graph.build_graph(model, temperature=1.0).predict_on_batch, "Keras")
    outputs = batches.run(runtime, validation.images, task="validation")
    figures = metrics.headline_figures(validation.labels, metrics.softmax(outputs.logits), groups=validation.group_ids)
    heads = data.fit_abnormality(outputs.features, validation)
    abnormality.save(heads, run_dir / ABNORMALITY)
    scores = abnormality.score(heads.fitted_on)
    fitted = calibration.fit(outputs.logits, scores, validation.labels, class_names=LABELS)
    records.write(run_dir / CALIBRATION, fitted)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=run_dir.name,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        class_names=LABELS,
        input=INPUT_CONTRACT,
        backend=backend,
        config=config,
        data=described,
        validation=dataclasses.asdict(figures),
        packages=package_versions(),
        checksums=files.checksums([run_dir / MODEL]),
    )
    records.write(run_dir / MANIFEST, manifest)
