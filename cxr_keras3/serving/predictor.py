"""The predictor: decodes in threads while the runtime computes, in order, with a bounded number in flight."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3 import __version__, images
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact, calibration, gate
from cxr_keras3.serving import runtimes
from cxr_keras3.serving.inputs import Source
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.serving.prediction import Prediction
from cxr_keras3.serving.runtimes import BATCH_SIZE

_DECODED_AHEAD = 8  # beyond a batch, so that decoding goes on while the runtime computes
NORMAL = calibration.NORMAL

Input = Source | str | os.PathLike[str] | bytes | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Decoded:
    """An input's name and its canonical image, or why there is none."""

    name: str
    image: npt.NDArray[np.uint8] | None
    warnings: tuple[str, ...] = ()
    sop_instance_uid: str = ""
    reason: str = ""


class Predictor:
    """A loaded run that scores films. Make one with `load`; several threads may share it.

    Attributes:
        manifest: The run's manifest, from which all names are taken.
        notices: What holds for every answer, such as that the run is not calibrated; also in their warnings.
        description: What computes, in words.
    """

    def __init__(self, run_dir: Path, *, runtime: str | None = None) -> None:
        self.manifest = artifact.load_manifest(run_dir)
        self.manifest.require_whole_images()
        calibration_path, gate_path = run_dir / artifact.CALIBRATION, run_dir / artifact.GATE
        self._calibration = calibration.load(calibration_path) if calibration_path.exists() else None
        if self._calibration and self._calibration.class_names != self.manifest.class_names:
            raise UserError(
                f"{calibration_path} must be of the classes {', '.join(self.manifest.class_names)}; delete it"
            )
        self._gate = gate.load(gate_path) if gate_path.exists() else None
        notices = []
        if self._calibration is None:
            notices.append(f"not calibrated: the run has no {artifact.CALIBRATION}, so no flag and no prediction set")
        if self._gate is None:
            notices.append(f"not checked whether this is a chest film: the run has no {artifact.GATE}")
        if self.manifest.data["synthetic"]:
            notices.append("trained on synthetic images: means nothing for a real film")
        self.notices = tuple(notices)
        temperature = self._calibration.temperature if self._calibration else 1.0
        self._runtime = runtimes.load(run_dir, runtime or runtimes.default(run_dir), temperature=temperature)
        self.description = self._runtime.description

    def predict(self, inputs: Iterable[Input], *, batch_size: int = BATCH_SIZE) -> Iterator[Prediction]:
        """Scores films in their order, as they come; one that cannot be read yields why, and the rest go on.

        Images are decoded in threads while others are computed. At most a few batches are held at a time,
        however many inputs there are.

        Args:
            inputs: Sources from `inputs.sources`, paths, the bytes of files, or uint8 arrays (height, width) or
                (height, width, 1) of upright films, air dark. Bytes and arrays are named by their position.
            batch_size: Images computed at a time; the last batch is filled up, so that an image's figures do
                not depend on its neighbours. 1 answers a single image soonest.
        """
        named = (_source(index, item) for index, item in enumerate(inputs))
        decoded = map_ahead(_decode, named, ahead=_DECODED_AHEAD + batch_size)
        started: deque[tuple[list[_Decoded], Callable[[], Outputs] | None]] = deque()
        while batch := list(islice(decoded, batch_size)):
            started.append((batch, self._start(batch, batch_size)))
            if len(started) > self._runtime.in_flight(batch_size):
                yield from self._finish(*started.popleft())
        for pending in started:
            yield from self._finish(*pending)

    def _start(self, batch: list[_Decoded], batch_size: int) -> Callable[[], Outputs] | None:
        readable = [decoded.image for decoded in batch if decoded.image is not None]
        if not readable:
            return None
        films = np.zeros((batch_size, *self.manifest.input["shape"]), dtype=np.uint8)
        films[: len(readable)] = readable
        return self._runtime.start(films)

    def _finish(self, batch: list[_Decoded], wait: Callable[[], Outputs] | None) -> Iterator[Prediction]:
        readable = [decoded for decoded in batch if decoded.image is not None]
        answers = iter(self._answers(readable, wait()) if wait else ())
        for decoded in batch:
            yield self._refused(decoded, decoded.reason) if decoded.image is None else next(answers)

    def _answers(self, batch: list[_Decoded], outputs: Outputs) -> Iterator[Prediction]:
        films = np.stack([decoded.image for decoded in batch if decoded.image is not None])
        reasons = [""] * len(batch)
        if self._gate is not None:
            reasons = self._gate.reasons(films, outputs.features[: len(batch)])
        rows = zip(batch, films, reasons, outputs.probabilities, outputs.activation_maps, strict=False)
        for decoded, film, reason, probabilities, maps in rows:
            if reason:
                yield self._refused(decoded, reason)
            else:
                yield self._accepted(decoded, film[..., 0], probabilities.astype(np.float64), maps)

    def _accepted(
        self,
        decoded: _Decoded,
        film: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float64],
        maps: npt.NDArray[np.float32],
    ) -> Prediction:
        names = self.manifest.class_names
        score, flag, prediction_set = 1.0 - float(probabilities[names.index(NORMAL)]), None, None
        if self._calibration is not None:
            flag = bool(self._calibration.flag(np.array([score]))[0])
            chosen = self._calibration.prediction_sets(probabilities[np.newaxis])[0]
            prediction_set = tuple(name for name, inside in zip(names, chosen, strict=True) if inside)
        return Prediction(
            file=decoded.name,
            accepted=True,
            reject_reason="",
            probabilities=dict(zip(names, probabilities.tolist(), strict=True)),
            label=names[int(probabilities.argmax())],
            prediction_set=prediction_set,
            abnormal_score=score,
            flag=flag,
            warnings=(*decoded.warnings, *self.notices),
            model=self.manifest.name,
            version=__version__,
            sop_instance_uid=decoded.sop_instance_uid,
            image=film,
            activation_maps=dict(zip(names, np.moveaxis(maps, -1, 0), strict=True)),
        )

    def _refused(self, decoded: _Decoded, reason: str) -> Prediction:
        return Prediction(
            file=decoded.name,
            accepted=False,
            reject_reason=reason,
            probabilities={},
            label="",
            prediction_set=None,
            abnormal_score=None,
            flag=None,
            warnings=decoded.warnings,
            model=self.manifest.name,
            version=__version__,
            sop_instance_uid=decoded.sop_instance_uid,
            image=None if decoded.image is None else decoded.image[..., 0],
            activation_maps=None,
        )


def load(run_dir: Path, *, runtime: str | None = None) -> Predictor:
    """Loads a run for scoring.

    Args:
        run_dir: The run folder.
        runtime: One of `runtimes.RUNTIMES`; see `runtimes.default` when None. Keras runs on one backend a process.

    Raises:
        UserError: Where the folder is not a finished run, or the runtime cannot serve it.
    """
    return Predictor(run_dir, runtime=runtime)


def _source(index: int, item: Input) -> Source:
    if isinstance(item, Source):
        return item
    if isinstance(item, (bytes, np.ndarray)):
        return Source(str(index), item)
    return Source(os.fspath(item), Path(item))


def _decode(source: Source) -> _Decoded:
    content = source.content
    if isinstance(content, np.ndarray):
        return _Decoded(source.name, images.canonical(content.squeeze(-1) if content.ndim == 3 else content))
    try:
        film = _film(content)
    except images.ImageError as error:
        return _Decoded(source.name, None, reason=str(error))
    return _Decoded(source.name, images.canonical(film.pixels), film.warnings, film.sop_instance_uid or "")


def _film(content: Path | bytes | Callable[[], bytes] | images.Film) -> images.Film:
    if isinstance(content, images.Film):
        return content
    return images.decode(content() if callable(content) else content)
