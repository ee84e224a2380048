"""Transfer learning in two stages: a linear layer on features computed once, then the backbone's tail."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3 import (
    artifact,
    augment_on_device,
    backbones,
    calibration,
    classifier,
    data,
    devices,
    features,
    metrics,
    progress,
    records,
)
from cxr_keras3.config import TrainingConfig
from cxr_keras3.errors import UserError
from cxr_keras3.fitting import Stage, fit
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def train(config: TrainingConfig, *, builder: Builder, run_dir: Path, cache_dir: Path) -> keras.Model:
    """Trains a model and writes its run folder, all but the evaluation.

    The same call on the same folder goes on where an interrupted one stopped.

    Args:
        config: How to train.
        builder: The built dataset, see `data.prepare`. Only its train and validation splits are read.
        run_dir: Where the run goes; made where missing.
        cache_dir: Where features of frozen layers are kept for later runs.

    Returns:
        The model with the weights of the best epoch by validation macro-F1, in float32.

    Raises:
        UserError: Where the folder already holds a finished run, or one begun with other settings, or is in
            use, or the weights cannot be had.
    """
    artifact.require_unfinished(run_dir)
    described = data.description(builder)
    settings = dataclasses.asdict(config) | {
        "backend": keras.backend.backend(),
        "listing_fingerprint": described["listing_fingerprint"],
    }
    with artifact.claimed(run_dir, settings) if devices.is_chief() else nullcontext():
        train_split, validation_split = (data.load(builder, s, region=config.region) for s in ("train", "validation"))
        if config.augment and devices.is_chief():
            records.write_contact_sheet(run_dir / records.CONTACT_SHEET, train_split, seed=config.seed)
        model = build(config)
        identity = {key: described[key] for key in ("dataset", "version", "listing_fingerprint")}
        history = fit_stages(
            model, config, train_split, validation_split, identity=identity, run_dir=run_dir, cache_dir=cache_dir
        )
        if devices.is_chief():
            records.write_history(run_dir, history)
            used = dataclasses.asdict(config)
            if Path(config.weights).exists():
                used["weights"] = Path(config.weights).name  # where it lay is nobody's business who gets the model
            save(model, run_dir, config=used, described=described, validation=validation_split)
    return model


def save(
    model: keras.Model,
    run_dir: Path,
    *,
    config: Mapping[str, Any],
    described: Mapping[str, Any],
    validation: data.Split,
) -> None:
    """Makes a trained classifier a run: writes the model, its calibration and, last, its manifest.

    Args:
        model: A model from `classifier.build` or `classifier.mean`, trained.
        run_dir: An existing folder.
        config: How it was trained, as the manifest is to say it.
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
        backend=keras.backend.backend(),
        config=config,
        data=described,
        validation=figures,
        packages=artifact.package_versions(),
    )
    artifact.write_manifest(run_dir, manifest)


def build(config: TrainingConfig) -> keras.Model:
    """The classifier with its initial weights: the backbone's, or all of another run's."""
    weights = Path(config.weights)
    of_run = (weights / artifact.MANIFEST).is_file()
    model = classifier.build(
        config.backbone,
        weights="none" if of_run else config.weights,
        image_size=config.image_size,
        class_count=len(LABELS),
        dropout=config.dropout,
        seed=config.seed,
    )
    if of_run:
        trained = artifact.load_manifest(weights).config
        if trained["backbone"] != config.backbone:
            raise UserError(
                f"--backbone must be {trained['backbone']}, that of the run {weights}; received {config.backbone}"
            )
        if artifact.MEMBERS in trained:
            raise UserError(f"--weights must not be an ensemble, {weights} is one; name one of its members")
        model.set_weights(artifact.load_model(weights).get_weights())
    return model


def fit_stages(
    model: keras.Model,
    config: TrainingConfig,
    train_split: data.Split,
    validation_split: data.Split,
    *,
    identity: Mapping[str, Any],
    run_dir: Path,
    cache_dir: Path,
) -> list[dict[str, Any]]:
    """Trains a model from `build` in place.

    Args:
        model: The classifier.
        config: How to train.
        train_split: Trained on.
        validation_split: Chooses the best epoch.
        identity: Names the dataset in the cache of features.
        run_dir: Gets checkpoints and TensorBoard's files.
        cache_dir: Keeps the features.

    Returns:
        The rows of `fitting.fit`, stage after stage.
    """

    def cached(extractor: keras.Model, split: data.Split, name: str, *, boundary: str, views: int) -> np.ndarray:
        return features.cached(
            extractor,
            split.images,
            identity={**identity, "split": name, "region": config.region, "boundary": boundary}
            | {key: getattr(config, key) for key in ("backbone", "image_size")},
            views=views,
            seed=config.seed,
            cache_dir=cache_dir,
            task=f"features of the {name} images" + (f", {views} views" if views else ""),
        )

    def of_both(extractor: keras.Model, *, boundary: str, views: int) -> tuple[np.ndarray, np.ndarray]:
        return (
            cached(extractor, train_split, "train", boundary=boundary, views=views),
            cached(extractor, validation_split, "validation", boundary=boundary, views=0)[0],
        )

    # All features come from the initial weights of the frozen part, so they can be had before training begins.
    inputs = {"head": of_both(classifier.feature_extractor(model), boundary=classifier.POOLING, views=0)}
    from_cache = config.fine_tune in ("last_stage", "last_two_stages") and config.cached_views > 0
    if from_cache:
        boundary = backbones.boundary(model.get_layer(classifier.BACKBONE), config.backbone, config.fine_tune)
        extractor, _ = classifier.divide(model, boundary)
        views = config.cached_views if config.augment else 0
        inputs["fine-tuning"] = of_both(extractor, boundary=boundary.name, views=views)
    elif config.fine_tune != "none":
        inputs["fine-tuning"] = train_split.images[np.newaxis], validation_split.images
    with devices.training(config.precision, batch_size=config.batch_size) as differs:
        trained = model
        if differs:
            trained = build(dataclasses.replace(config, weights="none"))
            trained.set_weights(model.get_weights())
        rows = []
        for name, (training_inputs, validation_inputs) in inputs.items():
            part, validated, augmentation = _part(trained, config, name, from_cache=from_cache)
            stage = Stage(
                name=name,
                model=part,
                inputs=training_inputs,
                labels=train_split.labels,
                augmentation=augmentation,
                validated=validated,
                validation_inputs=validation_inputs,
                validation_labels=validation_split.labels,
                epochs=config.head_epochs if name == "head" else config.fine_tune_epochs,
                peak_rate=config.head_learning_rate if name == "head" else config.learning_rate,
            )
            rows += fit(stage, config, run_dir=run_dir)
            records.write_history(run_dir, rows)
    if differs:
        model.set_weights(trained.get_weights())
    return rows


def _part(
    model: keras.Model, config: TrainingConfig, stage: str, *, from_cache: bool
) -> tuple[keras.Model, keras.Model, data.Augmentation]:
    """What a stage trains, what it validates, and how its inputs are changed. All share the model's weights."""
    if stage == "head":
        head = classifier.head(model)
        return head, head, "none"
    backbone = model.get_layer(classifier.BACKBONE)
    frozen, tail = backbones.split_at_tail(backbone, config.backbone, config.fine_tune)
    for layer in frozen:
        layer.trainable = False
    progress.say(f"fine-tuning {len(tail)} of {len(tail) + len(frozen)} layers of the backbone")
    if from_cache:
        after = classifier.divide(model, backbones.boundary(backbone, config.backbone, config.fine_tune))[1]
        return after, after, "none"
    if config.augment and devices.on_accelerator():
        return augment_on_device.training_model(model, seed=config.seed), model, "device"
    # Not the model itself: a compiled one is saved with its optimizer, which nobody needs to score with.
    whole = keras.Model(model.input, model.output)
    return whole, whole, "host" if config.augment else "none"
