"""From files to predictions, on a run folder, by Keras."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_keras3 import artifact, images, metrics

BATCH_SIZE = 16
NORMAL = "Normal"


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file.

    Attributes:
        file: The file as it was named.
        accepted: Whether it could be read as a chest film.
        reject_reason: Why not, in one line; empty where accepted.
        probabilities: Class name to probability; they sum to 1. Empty where not accepted.
        label: The most probable class; empty where not accepted.
        abnormal_score: Probability of any class but Normal, 0..1; None where not accepted.
        warnings: What a reader should know of the image.
        model: The run's name.
    """

    file: str
    accepted: bool
    reject_reason: str
    probabilities: Mapping[str, float]
    label: str
    abnormal_score: float | None
    warnings: tuple[str, ...]
    model: str


class Predictor:
    """A loaded run that scores files. Make one with `load`."""

    def __init__(self, run_dir: Path) -> None:
        self.manifest = artifact.load_manifest(run_dir)
        self._model = artifact.load_model(run_dir)

    def predict(self, files: Sequence[Path]) -> Iterator[Prediction]:
        """Scores files in batches, in their order; a file that cannot be read yields why, and the rest go on.

        Args:
            files: Image files of any kind that `cxr_keras3.images.decode` reads.
        """
        for start in range(0, len(files), BATCH_SIZE):
            yield from self._predict_batch(files[start : start + BATCH_SIZE])

    def _predict_batch(self, files: Sequence[Path]) -> Iterator[Prediction]:
        films = [_decode(file) for file in files]
        size = 1 if len(files) == 1 else BATCH_SIZE  # two sizes at most, so two compilations
        batch = np.zeros((size, *self.manifest.input["shape"]), dtype=np.uint8)
        for index, film in enumerate(films):
            if isinstance(film, images.Film):
                batch[index] = images.canonical(film.pixels)
        probabilities = metrics.softmax(np.asarray(self._model.predict_on_batch(batch)))
        for file, film, row in zip(files, films, probabilities, strict=False):
            yield self._accept(file, film, row) if isinstance(film, images.Film) else self._reject(file, film)

    def _accept(self, file: Path, film: images.Film, row: np.ndarray) -> Prediction:
        by_name = dict(zip(self.manifest.class_names, (float(value) for value in row), strict=True))
        return Prediction(
            file=str(file),
            accepted=True,
            reject_reason="",
            probabilities=by_name,
            label=max(by_name, key=lambda name: by_name[name]),
            abnormal_score=1.0 - by_name[NORMAL],
            warnings=film.warnings,
            model=self.manifest.name,
        )

    def _reject(self, file: Path, reason: images.ImageError) -> Prediction:
        return Prediction(str(file), False, str(reason), {}, "", None, (), self.manifest.name)


def load(run_dir: Path) -> Predictor:
    """Loads a run for scoring on the current Keras backend.

    Raises:
        UserError: Where the folder is not a finished run.
    """
    return Predictor(run_dir)


def _decode(file: Path) -> images.Film | images.ImageError:
    try:
        return images.decode(file)
    except images.ImageError as error:
        return error
