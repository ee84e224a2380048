"""Runs a model that is to be judged, and keeps count of the time that takes."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_keras3.serving import batches, parity, runtimes
from cxr_keras3.statistics import metrics


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        logits: float32 (N, classes), to a constant for each image, which changes no figure.
        maps: Class activation maps, float32 (N, h, w, classes), see `classifier.explainer`.
        features: Pooled features, float32 (N, channels).
    """

    logits: np.ndarray
    maps: np.ndarray
    features: np.ndarray


class Scorer:
    """A run's model: its export to OpenVINO in float32, or Keras.

    Attributes:
        seconds: Time spent in the model so far, its compilation included.
    """

    def __init__(self, run_dir: Path, *, runtime: str | None = None) -> None:
        """Loads a run.

        Args:
            run_dir: The run folder.
            runtime: One of `runtimes.RUNTIMES`; see `runtimes.default` when None.

        Raises:
            UserError: Where the runtime cannot serve the run.
        """
        name = runtime or runtimes.default(run_dir)
        self._temperature = 1.0
        if name == "openvino":
            self._temperature = parity.load(runtimes.export_folder(run_dir, name)).temperature
        self._runtime = runtimes.load(run_dir, name, temperature=self._temperature, precision="float32")
        self.seconds = 0.0

    def run(self, images: np.ndarray, task: str) -> Outputs:
        """Scores images.

        Args:
            images: uint8 (N, 299, 299, 1), N at least 1.
            task: What the progress bar says.
        """
        started = time.perf_counter()
        found = batches.run(self._runtime, images, task=task)
        self.seconds += time.perf_counter() - started
        least = np.finfo(np.float32).tiny  # of probabilities that are nought to float32
        logits = self._temperature * np.log(np.maximum(found.probabilities, least))
        return Outputs(logits, found.activation_maps, found.features)

    def predict(self, images: np.ndarray, task: str) -> np.ndarray:
        """Probabilities float64 (N, classes), not calibrated: which class is most probable does not depend on it."""
        return metrics.softmax(self.run(images, task).logits)
