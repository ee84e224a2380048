"""Trains the segmenter and keeps the weights of the best epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from cxr_keras3.base import progress
from cxr_keras3.lungs import data
from cxr_keras3.lungs.measures import dice
from cxr_keras3.lungs.network import build_segmenter

_BATCH = 16


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        epochs: Passes over the films.
        seed: Decides weights, order and changes.
        peak_rate: Highest learning rate, reached after one tenth of the steps, then a cosine to zero.
    """

    epochs: int
    seed: int
    peak_rate: float = 3e-3


def train(
    learnt: data.Outlined, validated: data.Outlined, *, weights: str, schedule: Schedule
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Trains a segmenter.

    Args:
        learnt: Trained on.
        validated: Chooses the best epoch, by the mean Dice of both lungs.
        weights: The backbone's initial weights, see `network.build_segmenter`.
        schedule: How long.

    Returns:
        The segmenter with its best weights, and a row an epoch: loss, and Dice on what it is validated on.
    """
    keras.utils.set_random_seed(schedule.seed)
    model = build_segmenter(weights=weights, seed=schedule.seed)
    steps = max(1, len(learnt) // _BATCH)
    total = schedule.epochs * steps
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - total // 10, warmup_target=schedule.peak_rate, warmup_steps=total // 10
    )
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0), loss=loss)
    rows: list[dict[str, float]] = []
    with progress.bar() as shown:
        task = shown.add_task("lungs", total=schedule.epochs)
        best = _Best(validated, rows, lambda: shown.advance(task))
        batches = data.batches(learnt, batch_size=min(_BATCH, len(learnt)), seed=schedule.seed)
        model.fit(batches, steps_per_epoch=steps, epochs=schedule.epochs, shuffle=False, callbacks=[best], verbose=0)
    model.set_weights(best.weights)
    return model, rows


def loss(truth: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Cross-entropy and one less the soft Dice, each lung for itself (Milletari, Navab and Ahmadi, 3DV 2016)."""
    ops = keras.ops
    shares = ops.sigmoid(logits)
    common = ops.sum(truth * shares, axis=(1, 2))
    overlap = (2 * common + 1) / (ops.sum(truth, axis=(1, 2)) + ops.sum(shares, axis=(1, 2)) + 1)
    entropy = ops.mean(ops.binary_crossentropy(truth, logits, from_logits=True), axis=(1, 2))
    return ops.mean(entropy + 1 - overlap, axis=-1)


def outlines(model: keras.Model, films: np.ndarray) -> np.ndarray:
    """The lungs of films uint8 (N, 299, 299, 1), bool (N, 256, 256, 2)."""
    found = [model.predict_on_batch(films[start : start + _BATCH]) for start in range(0, len(films), _BATCH)]
    return np.concatenate([np.asarray(logits) for logits in found]) > 0


class _Best(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Measures every epoch, and keeps the weights of the best."""

    def __init__(self, validated: data.Outlined, rows: list[dict[str, float]], advance: Callable[[], None]) -> None:
        super().__init__()
        self._validated, self._rows, self._advance = validated, rows, advance
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        found = outlines(self.model, self._validated.images)
        score = float(np.mean([dice(one, other) for one, other in zip(found, self._validated.lungs, strict=True)]))
        if not self._rows or score > max(row["dice"] for row in self._rows):
            self.weights = self.model.get_weights()
        self._rows.append({"epoch": epoch + 1, "loss": float((logs or {})["loss"]), "dice": score})
        progress.say(f"lungs epoch {epoch + 1}: loss {self._rows[-1]['loss']:.4f}  validation Dice {score:.4f}")
        self._advance()
