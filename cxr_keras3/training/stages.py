"""Transfer learning in two stages: a linear layer on features computed once, then the backbone's tail."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3.backend import devices
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.model import augment_on_device, backbones, classifier
from cxr_keras3.run.folder import MANIFEST, REFERENCE, Run
from cxr_keras3.training import data, features, history
from cxr_keras3.training.appearance import Appearance
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.loop import Stage, fit_stage
from cxr_keras3.training.surroundings import Surroundings
from tfds_cxr.labels import LABELS


def initial_model(config: TrainingConfig) -> keras.Model:
    """The classifier with its initial weights: the backbone's, or all of another run's."""
    weights = REFERENCE if config.weights == REFERENCE.name else Path(config.weights)
    of_run = (weights / MANIFEST).is_file()
    model = classifier.build_classifier(
        config.backbone,
        weights="none" if of_run else config.weights,
        image_size=config.image_size,
        class_count=len(LABELS),
        dropout=config.dropout,
        seed=config.seed,
    )
    if of_run:
        run = Run.open(weights)
        trained = run.manifest.config
        if trained["backbone"] != config.backbone:
            raise UserError(
                f"--backbone must be {trained['backbone']}, that of the run {weights}; received {config.backbone}"
            )
        if run.manifest.members:
            raise UserError(f"--weights must not be an ensemble, {weights} is one; name one of its members")
        model.set_weights(run.load_model().get_weights())
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
    targets: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Trains a model from `initial_model` in place.

    Args:
        model: The classifier.
        config: How to train.
        train_split: Trained on.
        validation_split: Chooses the best epoch.
        identity: Names the dataset in the cache of features.
        run_dir: Gets checkpoints and TensorBoard's files.
        cache_dir: Keeps the features.
        targets: What to learn of each training image, see `data.batches`; its label when None.

    Returns:
        The rows of `loop.fit_stage`, stage after stage.
    """
    from_cache = config.trains_on_features
    splits = {"train": train_split, "validation": validation_split}
    inputs = _inputs(model, config, splits, from_cache=from_cache, identity=identity, cache_dir=cache_dir)
    redraw = _redraw(config, train_split)
    with devices.training(config.precision, batch_size=config.batch_size) as differs:
        trained = model
        if differs:
            trained = initial_model(dataclasses.replace(config, weights="none"))
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
                strata=train_split.strata,
                redraw=redraw if name != "head" else None,
                targets=targets,
            )
            rows += fit_stage(stage, config, run_dir=run_dir)
            if devices.is_chief():
                history.write_history(run_dir, rows)
    if differs:
        model.set_weights(trained.get_weights())
    return rows


def _redraw(config: TrainingConfig, split: data.Split) -> data.Redraw | None:
    """Gives training images with other surroundings and another appearance; None where neither is asked for."""
    if not config.surroundings and not config.appearance:
        return None
    around = None
    if config.surroundings:
        around = Surroundings.found(split.images, split.labels, Segmenter.open(), share=config.surroundings)
    appearance = Appearance(split.images, share=config.appearance)

    def redraw(index: int, seed: tuple[int, int, int]) -> np.ndarray:
        film = split.images[index] if around is None else around(index, seed=seed)
        return appearance(film, seed=seed)

    return redraw


def _inputs(
    model: keras.Model,
    config: TrainingConfig,
    splits: Mapping[str, data.Split],
    *,
    from_cache: bool,
    identity: Mapping[str, Any],
    cache_dir: Path,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What each stage is trained and validated on: features of the model's initial weights, or the images."""

    def cached(extractor: keras.Model, *, boundary: str, views: int) -> tuple[np.ndarray, np.ndarray]:
        found = {
            name: features.cached(
                extractor,
                split.images,
                identity={**identity, "split": name, "region": config.region, "boundary": boundary}
                | {key: getattr(config, key) for key in ("backbone", "image_size")},
                views=of_split,
                seed=config.seed,
                cache_dir=cache_dir,
                task=f"features of the {name} images" + (f", {of_split} views" if of_split else ""),
            )
            for (name, split), of_split in zip(splits.items(), (views, 0), strict=True)
        }
        return found["train"], found["validation"][0]

    inputs = {"head": cached(classifier.feature_extractor(model), boundary=classifier.POOLING, views=0)}
    if from_cache:
        boundary = backbones.boundary(model.get_layer(classifier.BACKBONE), config.backbone, config.fine_tune)
        extractor, _ = classifier.divide(model, boundary)
        views = config.cached_views if config.augment else 0
        inputs["fine-tuning"] = cached(extractor, boundary=boundary.name, views=views)
    elif config.fine_tune != "none":
        inputs["fine-tuning"] = splits["train"].images[np.newaxis], splits["validation"].images
    return inputs


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
