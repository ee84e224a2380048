"""Transfer learning in two stages: a linear layer on features computed once, then the backbone's tail."""

import csv
import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import Progress, TaskID

from cxr_keras3 import artifact, backbones, classifier, data, metrics, progress
from cxr_keras3.config import TrainingConfig
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import Builder

WARMUP_SHARE = 0.1  # of the steps; the head is trained, so a short one keeps the backbone from a first jolt
GRADIENT_NORM = 1.0


def train(config: TrainingConfig, *, builder: Builder, run_dir: Path) -> keras.Model:
    """Trains a model and writes its run folder, all but the evaluation.

    Args:
        config: How to train.
        builder: The built dataset, see `data.prepare`. Only its train and validation splits are read.
        run_dir: Where the run goes; made where missing.

    Returns:
        The model with the weights of the best epoch by validation macro-F1.

    Raises:
        UserError: Where the folder already holds a finished run, or the weights cannot be had.
    """
    artifact.require_unfinished(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    model = classifier.build(
        config.backbone,
        weights=config.weights,
        image_size=config.image_size,
        class_count=len(LABELS),
        dropout=config.dropout,
        seed=config.seed,
    )
    train_split, validation_split = data.load(builder, "train"), data.load(builder, "validation")
    history = train_head(model, config, train_split, validation_split)
    if config.fine_tune != "none" and config.fine_tune_epochs > 0:
        history += fine_tune_tail(model, config, train_split, validation_split)
    _write_history(run_dir / artifact.HISTORY, history)
    _save_model(model, run_dir / artifact.MODEL)
    logits = data.predict(model, validation_split.images, task="validation")
    validation = metrics.headline_figures(
        validation_split.labels, metrics.softmax(logits), groups=validation_split.group_ids
    )
    artifact.write_manifest(run_dir, _manifest(config, builder, run_dir.name, validation))
    return model


def train_head(
    model: keras.Model, config: TrainingConfig, train_split: data.Split, validation_split: data.Split
) -> list[dict[str, Any]]:
    """Trains dropout and linear layer on pooled features of the frozen backbone, computed once."""
    extractor = classifier.feature_extractor(model)
    features = data.predict(extractor, train_split.images, task="features of the training images")
    validation_features = data.predict(extractor, validation_split.images, task="features of the validation images")
    inputs = keras.Input(features.shape[1:], name=classifier.POOLING)
    dropout = keras.layers.Dropout(config.dropout, seed=config.seed)
    head = keras.Model(inputs, model.get_layer(classifier.LOGITS)(dropout(inputs)), name="head")
    batches = data.Batches(
        features, train_split.labels, batch_size=config.batch_size, seed=config.seed, augmented=False
    )
    return _fit(
        head,
        config,
        batches=batches,
        validation=(validation_features, data.one_hot(validation_split.labels)),
        labels=train_split.labels,
        stage="head",
        epochs=config.head_epochs,
        peak_rate=config.head_learning_rate,
    )


def fine_tune_tail(
    model: keras.Model, config: TrainingConfig, train_split: data.Split, validation_split: data.Split
) -> list[dict[str, Any]]:
    """Trains the backbone's tail and the head on augmented images; what is frozen stays in inference mode."""
    backbone = model.get_layer(classifier.BACKBONE)
    frozen, tail = backbones.split_at_tail(backbone, config.backbone, config.fine_tune)
    for layer in frozen:
        layer.trainable = False
    progress.say(f"fine-tuning {len(tail)} of {len(tail) + len(frozen)} layers of the backbone")
    batches = data.Batches(
        train_split.images,
        train_split.labels,
        batch_size=config.batch_size,
        seed=config.seed,
        augmented=config.augment,
    )
    return _fit(
        model,
        config,
        batches=batches,
        validation=(validation_split.images, data.one_hot(validation_split.labels)),
        labels=train_split.labels,
        stage="fine-tuning",
        epochs=config.fine_tune_epochs,
        peak_rate=config.learning_rate,
    )


def _fit(
    model: keras.Model,
    config: TrainingConfig,
    *,
    batches: data.Batches,
    validation: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    stage: str,
    epochs: int,
    peak_rate: float,
) -> list[dict[str, Any]]:
    """Runs one stage and leaves the model with its best weights by validation macro-F1."""
    steps = epochs * len(batches)
    warmup = int(WARMUP_SHARE * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else peak_rate,
        steps - warmup,
        warmup_target=peak_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, clipnorm=GRADIENT_NORM)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            keras.metrics.F1Score(average="macro", name="macro_f1"),
        ],
    )
    best = keras.callbacks.EarlyStopping(
        monitor="val_macro_f1", mode="max", patience=max(5, epochs // 3), restore_best_weights=True
    )
    with progress.bar() as shown:
        task = shown.add_task(stage, total=steps)
        fitted = model.fit(
            batches,
            validation_data=validation,
            validation_batch_size=config.batch_size,
            epochs=epochs,
            class_weight=data.class_weights(labels) if config.class_weights else None,
            shuffle=False,  # the batches shuffle themselves, by seed
            callbacks=[best, _Progress(shown, task)],
            verbose=0,
        )
    return _rows(stage, fitted.history)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Moves a progress bar and prints a line an epoch."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        super().__init__()
        self._shown = shown
        self._task = task

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._shown.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = logs or {}
        shown = "  ".join(
            f"{key.replace('_', ' ')} {values[key]:.4f}" for key in ("loss", "val_loss", "val_accuracy", "val_macro_f1")
        )
        progress.say(f"{self._shown.tasks[self._task].description} epoch {epoch + 1}: {shown}")


def _rows(stage: str, history: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    epochs = len(next(iter(history.values())))
    return [
        {"stage": stage, "epoch": epoch + 1, **{key: float(values[epoch]) for key, values in history.items()}}
        for epoch in range(epochs)
    ]


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _save_model(model: keras.Model, path: Path) -> None:
    """Saves the model whole or not at all."""
    temporary = path.with_name(f"partial-{path.name}")  # Keras wants the .keras ending
    model.save(temporary)
    temporary.replace(path)


def _manifest(config: TrainingConfig, builder: Builder, name: str, validation: Mapping[str, Any]) -> artifact.Manifest:
    return artifact.Manifest(
        schema_version=artifact.SCHEMA_VERSION,
        name=name,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        class_names=LABELS,
        input=artifact.INPUT_CONTRACT,
        backend=keras.backend.backend(),
        config=dataclasses.asdict(config),
        data=data.description(builder),
        validation=validation,
        packages=artifact.package_versions(),
    )
