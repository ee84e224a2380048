"""What a run's own files say, for statements about it: each names the file that it rests on, and altered files show.

`metrics.json` is believed only as far as it agrees with the predictions, the calibration and the manifest beside it; an
export or a model only where its checksum is the one that was written down.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.calibration import Calibration
from cxr_keras3.run.collections import COLLECTIONS, CollectionsMetrics
from cxr_keras3.run.folder import CALIBRATION, EVALUATION, MANIFEST, METRICS, MODEL, PREDICTIONS, Run
from cxr_keras3.run.manifest import Manifest
from cxr_keras3.run.metrics import Metrics
from cxr_keras3.run.parity import Parity
from cxr_keras3.run.predictions import Predictions
from cxr_keras3.statistics import metrics as statistics

PACKAGES = ("cxr_keras3/", "tfds_cxr/")
"""How the name of a file begins that is of the installation, and not of the run."""

_CLOSE = 1e-3
"""How far a figure may lie from the one of `predictions.csv`, whose probabilities have six digits."""


@dataclass(frozen=True)
class Source:
    """What a statement rests on.

    Attributes:
        file: In the run folder, or of the installation where it begins with one of `PACKAGES`.
        place: Where in it; empty for all of it.
    """

    file: str
    place: str = ""


@dataclass(frozen=True)
class Statement:
    """What is said to an item, and what it rests on; at least one source."""

    text: str
    sources: tuple[Source, ...]


def in_manifest(place: str = "") -> Source:
    """A place in the manifest."""
    return Source(MANIFEST, place)


def in_metrics(place: str = "") -> Source:
    """A place in what the evaluation found."""
    return Source(f"{EVALUATION}/{METRICS}", place)


def said(text: str, *sources: Source) -> Statement:
    """A statement and what it rests on."""
    return Statement(text, sources)


def listed(names: Iterable[object]) -> str:
    """Names with commas."""
    return ", ".join(map(str, names))


class GapError(Exception):
    """An item that the run's files do not answer; the message says what is missing."""


class AlteredError(Exception):
    """Files of a run that contradict one another; the message says which."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A run, and what its files say where they agree.

    Attributes:
        run: The run.
    """

    run: Run

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return self.run.manifest

    @cached_property
    def calibration(self) -> Calibration:
        """The calibration.

        Raises:
            GapError: Where there is none.
        """
        if self.run.calibration is None:
            raise GapError("the run is not calibrated")
        return self.run.calibration

    @cached_property
    def predictions(self) -> Predictions:
        """What was said of each image of the test split.

        Raises:
            GapError: Where there is no table.
            AlteredError: Where it cannot be read.
        """
        if not (self.run.folder / EVALUATION / PREDICTIONS).exists():
            raise GapError("no predictions of single images are kept")
        with _altered():
            return self.run.predictions

    @property
    def metrics(self) -> Metrics:
        """What the evaluation found.

        Raises:
            GapError: Where the run was never evaluated.
            AlteredError: Where the file contradicts those beside it.
        """
        if self._contradictions:
            raise AlteredError(self._contradictions)
        if self.run.metrics is None:
            raise GapError(f"the run was not evaluated: python -m cxr_keras3.evaluate {self.run.folder}")
        return self.run.metrics

    @cached_property
    def _contradictions(self) -> str:
        """What speaks against the metrics, in words; empty where nothing does, or there are none."""
        try:
            with _altered():
                found = self.run.metrics
            wrong = [words for words, agrees in self._agreements(found) if not agrees] if found else []
        except AlteredError as error:
            return str(error)
        return f"{METRICS} contradicts {'; '.join(wrong)}" if wrong else ""

    @cached_property
    def collections(self) -> CollectionsMetrics:
        """What the evaluation on other collections found.

        Raises:
            GapError: Where there was none.
            AlteredError: Where the file cannot be used, or is of another run.
        """
        with _altered():
            found = self.run.collections
        if found is None or not found.collections:
            raise GapError("no films from elsewhere were measured: python -m cxr_keras3.evaluate RUN --collection NAME")
        if found.run != self.run.name:
            raise AlteredError(f"{COLLECTIONS}/{METRICS} is of the run {found.run}")
        return found

    @cached_property
    def export(self) -> Parity:
        """How near the export to OpenVINO, which answers, comes to the model.

        Raises:
            GapError: Where there is no export.
            AlteredError: Where its files are not those that were written.
        """
        with _altered():
            found = self.run.parity("openvino")
        if found is None:
            raise GapError("the run has no export")
        return found

    @cached_property
    def model(self) -> str:
        """The checksum of the model's file.

        Raises:
            GapError: Where the manifest holds none.
            AlteredError: Where the file is not the one that was written.
        """
        checksums = self.manifest.checksums
        if MODEL not in checksums:
            raise GapError("the manifest holds no checksum of the model's file")
        if (self.run.folder / MODEL).exists():
            with _altered():
                files.require_checksums(self.run.folder, checksums, remedy="restore it")
        return checksums[MODEL]

    def digest(self, file: str) -> str:
        """The SHA-256 of a file of the run or of the package; empty where it is not there."""
        path = self.path(file)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def path(self, file: str) -> Path:
        """Where a source's file is."""
        return (Path(__file__).parents[2] if file.startswith(PACKAGES) else self.run.folder) / file

    def _agreements(self, found: Metrics) -> list[tuple[str, bool]]:
        """What must hold between the metrics and the files beside them."""
        predictions, names = self.predictions, self.run.class_names
        labels, probabilities = predictions.labels, predictions.probabilities
        matrix = statistics.confusion_matrix(labels, probabilities.argmax(axis=1), class_count=len(names))
        calibration = {name: getattr(found.calibration, name) for name in vars(self.calibration)}
        counts = self.manifest.data.get("counts", {}).get(found.split)
        of_classes = {name: int((labels == index).sum()) for index, name in enumerate(names)}
        same_split = counts and found.dataset_version == self.manifest.data.get("version") and not found.left_out
        return [
            (f"the run's name in {MANIFEST}", found.run == self.run.name),
            (f"what {MANIFEST} says of drawn images", found.synthetic == self.manifest.is_synthetic),
            (f"the counts of {MANIFEST}", not same_split or counts == of_classes),
            (CALIBRATION, calibration == vars(self.calibration)),
            (f"the number of images in {PREDICTIONS}", found.images == len(labels)),
            (f"the answers in {PREDICTIONS}", found.confusion_matrix == matrix),
            *(
                (f"the {name.replace('_', ' ')} of {PREDICTIONS}", _is_close(getattr(found, name).value, value))
                for name, value in _figures(predictions).items()
            ),
        ]


def _figures(predictions: Predictions) -> dict[str, float]:
    """The headline figures of a table; without the log loss, for which six digits are too few."""
    labels, probabilities = predictions.labels, predictions.probabilities
    each = np.ones((1, len(labels)))
    makers = {name: make for name, make in statistics.HEADLINES.items() if name != "log_loss"}
    return {name: float(make(labels, probabilities)(each)[0]) for name, make in makers.items()}


def _is_close(stated: float | None, found: float) -> bool:
    return bool(np.isnan(found)) if stated is None else abs(stated - found) <= _CLOSE


@contextmanager
def _altered() -> Iterator[None]:
    """Says of files that cannot be used that they were altered."""
    try:
        yield
    except UserError as error:
        raise AlteredError(str(error).partition(";")[0]) from error
