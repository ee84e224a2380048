"""One stage of training, from its first step or from where a killed process left it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import Progress, TaskID
from tensorboard.summary import Writer

from cxr_keras3.backend import devices
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.training import checkpoint, data
from cxr_keras3.training.config import TrainingConfig

WARMUP_SHARE = 0.1  # of the steps; the head is trained, so a short one keeps the backbone from a first jolt
GRADIENT_NORM = 1.0
CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"


@dataclass(frozen=True)
class Stage:
    """What is trained, on what, for how long.

    Attributes:
        name: "head" or "fine-tuning".
        model: From the inputs to logits; its trainable weights are trained.
        inputs: Training inputs (views, N, …), see `data.batches`.
        labels: int (N,).
        augmentation: How the inputs are changed, see `data.batches`.
        validated: What is validated, the model without augmentation; the same weights.
        validation_inputs: (M, …) of `validated`.
        validation_labels: int (M,).
        epochs: At most.
        peak_rate: Highest learning rate, reached after one tenth of the steps, then a cosine to zero.
        strata: See `data.batches`.
        redraw: See `data.batches`.
        targets: See `data.batches`.
    """

    name: str
    model: keras.Model
    inputs: np.ndarray
    labels: np.ndarray
    augmentation: data.Augmentation
    validated: keras.Model
    validation_inputs: np.ndarray
    validation_labels: np.ndarray
    epochs: int
    peak_rate: float
    strata: np.ndarray | None = None
    redraw: data.Redraw | None = None
    targets: np.ndarray | None = None


def fit_stage(stage: Stage, config: TrainingConfig, *, run_dir: Path) -> list[dict[str, Any]]:
    """Trains a stage and leaves its model with the best weights by validation macro-F1.

    After every epoch the whole state is written to the run folder; where one is there, training goes on from
    it and ends, on a CPU, with the same weights bit for bit.

    Returns:
        A row an epoch: stage, epoch, learning rate, losses and scores.

    Raises:
        UserError: Where the loss is no number any more, or the checkpoint is damaged or of another model.
    """
    _compile(stage, config)
    path = run_dir / CHECKPOINTS / f"{stage.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = checkpoint.read(path)
    journal = _Journal(stage, path, found, patience=max(5, stage.epochs // 2))
    if found is not None and not journal.over:
        checkpoint.restore(found, stage.model)
        progress.say(f"{stage.name}: going on after epoch {len(journal.rows)}")
    if not journal.over:
        _run(stage, config, journal, tensorboard=run_dir / TENSORBOARD / stage.name)
    stage.model.set_weights(journal.best)
    if not journal.over and devices.is_chief():
        checkpoint.save(path, None, journal=journal.content(over=True), best=journal.best)
    return journal.rows


def _compile(stage: Stage, config: TrainingConfig) -> None:
    steps = stage.epochs * data.steps_per_epoch(len(stage.labels), config.batch_size)
    warmup = int(WARMUP_SHARE * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else stage.peak_rate,
        steps - warmup,
        warmup_target=stage.peak_rate if warmup else None,
        warmup_steps=warmup,
    )
    average = {"use_ema": True, "ema_momentum": config.moving_average} if config.moving_average else {}
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, clipnorm=GRADIENT_NORM, **average)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    for model in {id(model): model for model in (stage.model, stage.validated)}.values():
        model.compile(
            optimizer=optimizer if model is stage.model else None,
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
            metrics=[
                keras.metrics.CategoricalAccuracy(name="accuracy"),
                keras.metrics.F1Score(average="macro", name="macro_f1"),
            ],
        )
    optimizer.build(stage.model.trainable_variables)


def _run(stage: Stage, config: TrainingConfig, journal: "_Journal", *, tensorboard: Path) -> None:
    callbacks: list[keras.callbacks.Callback] = []
    if config.moving_average:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    callbacks.append(journal)
    if devices.is_chief():
        callbacks.append(_TensorBoard(tensorboard))
    done = len(journal.rows)
    steps = data.steps_per_epoch(len(stage.labels), config.batch_size)
    batches = data.batches(
        stage.inputs,
        stage.labels,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentation=stage.augmentation,
        class_balance=config.class_balance,
        first_epoch=done,
        strata=stage.strata,
        redraw=stage.redraw,
        targets=stage.targets,
        process=devices.process(),
    )
    with progress.bar() as shown:
        task = shown.add_task(stage.name, total=stage.epochs * steps, completed=done * steps)
        stage.model.fit(
            batches,
            steps_per_epoch=steps,
            shuffle=False,  # the batches are shuffled, by seed
            initial_epoch=done,
            epochs=stage.epochs,
            callbacks=[_Bar(shown, task), *callbacks],
            verbose=0,
        )


class _Bar(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Moves a progress bar."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        super().__init__()
        self._shown = shown
        self._task = task

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._shown.advance(self._task)


class _TensorBoard(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Writes an epoch's figures for TensorBoard. Keras's own callback does so through TensorFlow's summaries."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._writer = Writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._writer.add_scalar(name, float(value), epoch + 1)
        self._writer.flush()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._writer.close()


class _Journal(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Validates, keeps the best weights, stops early, and writes checkpoints."""

    def __init__(self, stage: Stage, path: Path, found: checkpoint.Checkpoint | None, *, patience: int) -> None:
        super().__init__()
        self._stage = stage
        self._path = path
        self._patience = patience
        self._targets = data.one_hot(stage.validation_labels)
        before = {} if found is None else found.journal
        self.rows: list[dict[str, Any]] = list(before.get("rows", []))
        self.over: bool = before.get("over", False)
        self.best: list[np.ndarray] = [] if found is None else found.best

    def content(self, *, over: bool) -> dict[str, Any]:
        """What a checkpoint says of the stage."""
        return {"rows": self.rows, "over": over}

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        # Here and not at the epoch's end, where averaged weights stand in for the trained ones.
        if len(self.rows) == epoch > 0 and devices.is_chief():
            checkpoint.save(self._path, self._stage.model, journal=self.content(over=False), best=self.best)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        trained = {key: float(value) for key, value in (logs or {}).items()}
        if not np.isfinite(trained["loss"]):
            raise UserError(
                f"the loss must be a number, it is {trained['loss']} in epoch {epoch + 1} of {self._stage.name}; "
                "begin another run with a lower learning rate, or --precision float32"
            )
        scores = self._stage.validated.evaluate(
            self._stage.validation_inputs, self._targets, batch_size=data.VALIDATION_BATCH, verbose=0, return_dict=True
        )
        validated = {f"val_{key}": float(value) for key, value in scores.items()}
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        self.rows.append({"stage": self._stage.name, "epoch": epoch + 1, "learning_rate": rate, **trained, **validated})
        if logs is not None:
            logs.update(validated)  # type: ignore[attr-defined]  # Keras hands callbacks one dictionary to add to
        progress.say(
            f"{self._stage.name} epoch {epoch + 1}: "
            + "  ".join(
                f"{key.replace('_', ' ')} {self.rows[-1][key]:.4f}"
                for key in ("loss", "val_loss", "val_accuracy", "val_macro_f1")
            )
        )
        scores_so_far = [row["val_macro_f1"] for row in self.rows]
        best = int(np.argmax(scores_so_far))  # the first of equals
        if best == epoch:
            self.best = self._stage.model.get_weights()
        if epoch - best >= self._patience:
            self.model.stop_training = True
