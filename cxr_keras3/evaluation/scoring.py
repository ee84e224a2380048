"""Runs the model, and keeps count of the time that takes."""

import time
from dataclasses import dataclass

import keras
import numpy as np

from cxr_keras3 import classifier, metrics, progress

BATCH_SIZE = 32


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        logits: float32 (N, classes).
        maps: Class activation maps, float32 (N, h, w, classes), see `classifier.explainer`.
        features: Pooled features, float32 (N, channels).
    """

    logits: np.ndarray
    maps: np.ndarray
    features: np.ndarray


class Scorer:
    """A model whose logits, activation maps and pooled features come from a single pass.

    Attributes:
        seconds: Time spent in the model so far, its compilation included.
    """

    def __init__(self, model: keras.Model) -> None:
        features = classifier.feature_extractor(model).output
        self._model = keras.Model(model.input, [*classifier.explainer(model).outputs, features])
        self.seconds = 0.0

    def run(self, images: np.ndarray, task: str) -> Outputs:
        """Scores images in batches of one size, so that the model is compiled once.

        Args:
            images: uint8 (N, 299, 299, 1), N at least 1.
            task: What the progress bar says.
        """
        started = time.perf_counter()
        columns: tuple[list[np.ndarray], ...] = ([], [], [])
        for start in progress.track(range(0, len(images), BATCH_SIZE), description=task):
            batch = np.asarray(images[start : start + BATCH_SIZE])
            filled = batch[np.minimum(np.arange(BATCH_SIZE), len(batch) - 1)]
            for column, output in zip(columns, self._model.predict_on_batch(filled), strict=True):
                column.append(np.asarray(output)[: len(batch)])
        self.seconds += time.perf_counter() - started
        return Outputs(*(np.concatenate(column) for column in columns))

    def predict(self, images: np.ndarray, task: str) -> np.ndarray:
        """Probabilities float64 (N, classes), not calibrated: which class is most probable does not depend on it."""
        return metrics.softmax(self.run(images, task).logits)
