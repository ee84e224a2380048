"""A run as the page needs it: what scores, what its evaluation found, and what must be said of it everywhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.run import artifact
from cxr_keras3.serving import Predictor
from cxr_keras3.serving import load as load_predictor


@dataclass(frozen=True, eq=False)
class Run:
    """A loaded run.

    Attributes:
        folder: The run folder.
        predictor: Scores films.
        metrics: What `evaluation/metrics.json` says of the test split; None where the run was never evaluated.
    """

    folder: Path
    predictor: Predictor
    metrics: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.predictor.manifest.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the manifest."""
        return self.predictor.manifest.class_names

    @property
    def evaluation(self) -> Path:
        """The folder of the run's evaluation."""
        return self.folder / artifact.EVALUATION


def load(folder: Path, *, runtime: str | None) -> Run:
    """Loads a run to serve.

    Args:
        folder: The run folder.
        runtime: What computes, see `cxr_keras3.serving.load`.

    Raises:
        UserError: Where the folder is no finished run, or its evaluation is damaged or of another version.
    """
    return Run(folder, load_predictor(folder, runtime=runtime), _read_metrics(folder))


def warm_up(runs: Sequence[Run]) -> None:
    """Scores a black image with each, so that the first film does not wait for the graph's compilation."""
    for each in runs:
        list(each.predictor.predict([np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)], batch_size=1))


def banners(run: Run) -> list[str]:
    """What a visitor must know before reading any answer of this run, a sentence each; most runs have none."""
    said = []
    if run.predictor.manifest.data["synthetic"]:
        said.append("Trained on synthetic images: what it says of a real film means nothing.")
    if run.metrics is None:
        said.append(
            "Never evaluated: nothing is known of how often it is right. "
            f"Run python -m cxr_keras3.evaluate on the run {run.name}."
        )
    elif run.metrics["audit"]["verdict"] == "FAIL":
        said.append("It failed its audit: its figures do not show that it sees disease. See “How good is it?”.")
    return said


def _read_metrics(folder: Path) -> Mapping[str, Any] | None:
    path = folder / artifact.EVALUATION / artifact.METRICS
    if not path.exists():
        return None
    remedy = f"run python -m cxr_keras3.evaluate {folder}"
    try:
        metrics: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = metrics["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not an evaluation ({type(error).__name__}: {error}); {remedy}") from error
    if version != artifact.METRICS_SCHEMA_VERSION:
        raise UserError(
            f"{path} must have schema version {artifact.METRICS_SCHEMA_VERSION}, it has {version}; {remedy}"
        )
    return metrics
