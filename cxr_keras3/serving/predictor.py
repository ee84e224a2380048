"""The predictor: decodes in threads while the runtime computes, in order, with a bounded number in flight."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.base.batching import BATCH_SIZE, filled
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.version import __version__
from cxr_keras3.images import rendering
from cxr_keras3.lungs import anatomy, evidence
from cxr_keras3.lungs.segmenter import Lungs
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.lungs.sides import joined
from cxr_keras3.run.answers import Answers, answer, named
from cxr_keras3.run.folder import CALIBRATION, GATE, Run
from cxr_keras3.serving import inputs, runtimes
from cxr_keras3.serving.inputs import Decode, Input
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.serving.prediction import Prediction

_DECODED_AHEAD = 8  # beyond a batch, so that decoding goes on while the runtime computes

_Computed = tuple[Outputs, Lungs]
AnyInput = Input | str | os.PathLike[str] | bytes | npt.NDArray[np.uint8]


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
        run: The run.
        notices: What holds for every answer, such as that the run is not calibrated; also in their warnings.
        decode: Makes films of the bytes of files.
        description: Runtime and device, in words.
    """

    def __init__(self, run: Run, *, runtime: str | None = None, decode: Decode = images.decode) -> None:
        self.run = run
        self.decode = decode
        notices = []
        if run.calibration is None:
            notices.append(f"not calibrated: the run has no {CALIBRATION}, so no flag and no prediction set")
        if run.gate is None:
            notices.append(f"not checked whether this is a chest film: the run has no {GATE}")
        if run.site is not None:
            notices.append(f"by the profile of the site {run.site.name}: {run.site.verdict}")
        if run.manifest.is_synthetic:
            notices.append("trained on synthetic images: means nothing for a real film")
        self.notices = tuple(notices)
        self._runtime = runtimes.load_runtime(run, runtime)
        self._showing = Showing.of(run)
        self.description = self._runtime.description

    def predict(self, inputs: Iterable[AnyInput], *, batch_size: int = BATCH_SIZE) -> Iterator[Prediction]:
        """Scores films in their order, as they come; one that cannot be read yields why, and the rest go on.

        Images are decoded in threads while others are computed. At most a few batches are held at a time,
        however many inputs there are.

        Args:
            inputs: Inputs from `inputs.find`, paths, the bytes of files, or uint8 arrays (height, width) or
                (height, width, 1) of upright films, air dark. Bytes and arrays are named by their position.
            batch_size: Images computed at a time; the last batch is filled up, so that an image's figures do
                not depend on its neighbours. 1 answers a single image soonest.
        """
        named = (_named(index, item) for index, item in enumerate(inputs))
        decoded = map_ahead(self._decoded, named, ahead=_DECODED_AHEAD + batch_size)
        started: deque[tuple[list[_Decoded], Callable[[], _Computed] | None]] = deque()
        while batch := list(islice(decoded, batch_size)):
            started.append((batch, self._start(batch, batch_size)))
            if len(started) > self._runtime.in_flight(batch_size):
                yield from self._finish(*started.popleft())
        for pending in started:
            yield from self._finish(*pending)

    def warm_up(self) -> None:
        """Scores a black image, so that the first film does not wait for the graph's compilation."""
        list(self.predict([np.zeros((images.IMAGE_SIZE, images.IMAGE_SIZE), dtype=np.uint8)], batch_size=1))

    def _decoded(self, item: Input) -> _Decoded:
        try:
            film = inputs.film(item.content, self.decode)
        except images.ImageError as error:
            return _Decoded(item.name, None, reason=str(error))
        uid, reason = film.sop_instance_uid or "", rendering.refusal(film.pixels)
        if reason:
            return _Decoded(item.name, None, film.warnings, uid, reason)
        warnings = (*film.warnings, *rendering.notes(film.pixels))
        return _Decoded(item.name, images.canonical(film.pixels), warnings, uid)

    def _start(self, batch: list[_Decoded], batch_size: int) -> Callable[[], _Computed] | None:
        readable = [decoded.image for decoded in batch if decoded.image is not None]
        if not readable:
            return None
        films = filled(np.stack(readable), batch_size)
        outline = self._showing.segmenter.start(films)
        if self._showing.region == "full":
            compute = self._runtime.start(films)
            return lambda: (compute(), outline())
        lungs = outline()  # the model is shown them alone
        compute = self._runtime.start(self._showing.restricted(films, lungs))
        return lambda: (compute(), lungs)

    def _finish(self, batch: list[_Decoded], wait: Callable[[], _Computed] | None) -> Iterator[Prediction]:
        readable = [decoded for decoded in batch if decoded.image is not None]
        answers = iter(self._answers(readable, *wait()) if wait else ())
        for decoded in batch:
            yield self._refused(decoded, decoded.reason) if decoded.image is None else next(answers)

    def _answers(self, batch: list[_Decoded], outputs: Outputs, lungs: Lungs) -> Iterator[Prediction]:
        films = np.stack([decoded.image for decoded in batch if decoded.image is not None])
        measured = [anatomy.measure(outlines) for outlines in lungs[: len(batch)]]
        reasons = [anatomy.refusal(each, film) for each, film in zip(measured, films, strict=True)]
        distances: list[float | None] = [None] * len(batch)
        if self.run.gate is not None:
            shown = self._showing.restricted(films, lungs[: len(batch)])
            squared = self.run.gate.distances(outputs.features[: len(batch)])
            distances = self.run.gate.relative(squared).tolist()
            asked = self.run.gate.reasons(shown, squared, [each.tilt for each in measured])
            reasons = [first or second for first, second in zip(asked, reasons, strict=True)]
        answers = answer(self.run, outputs.logits, outputs.features)
        for index, (decoded, film, reason) in enumerate(zip(batch, films, reasons, strict=True)):
            if reason:
                yield self._refused(decoded, reason)
                continue
            yield self._accepted(
                decoded,
                film[..., 0],
                answers,
                index,
                self._showing.on_film(outputs.activation_maps[index], lungs[index]),
                lungs=lungs[index],
                features=outputs.features[index],
                distance=distances[index],
                notes=anatomy.notes(measured[index], film, lungs[index]),
            )

    def _accepted(
        self,
        decoded: _Decoded,
        film: npt.NDArray[np.uint8],
        answers: Answers,
        index: int,
        maps: npt.NDArray[np.float32],
        *,
        lungs: npt.NDArray[np.bool_],
        features: npt.NDArray[np.float32],
        distance: float | None,
        notes: tuple[str, ...],
    ) -> Prediction:
        names, predicted = self.run.class_names, int(answers.predicted[index])
        inside = evidence.share_inside(maps[..., predicted], joined(lungs))
        if inside is not None and inside < evidence.LEAST_INSIDE:
            notes = (*notes, f"{1 - inside:.0%} of the evidence lies outside the lungs")
        return Prediction(
            file=decoded.name,
            accepted=True,
            reject_reason="",
            abnormal_score=float(answers.abnormal_scores[index]),
            flag=None if answers.flags is None else bool(answers.flags[index]),
            predicted=names[predicted],
            prediction_set=None if answers.prediction_sets is None else named(answers.prediction_sets[index], names),
            withheld=answers.withheld[index],
            probabilities=dict(zip(names, answers.probabilities[index].tolist(), strict=True)),
            site=self.run.site.name if self.run.site else "",
            distance=distance,
            evidence_in_lungs=inside,
            warnings=(*decoded.warnings, *notes, *self.notices),
            model=self.run.name,
            version=__version__,
            sop_instance_uid=decoded.sop_instance_uid,
            image=film,
            activation_maps=dict(zip(names, np.moveaxis(maps, -1, 0), strict=True)),
            lungs=lungs,
            features=features,
        )

    def _refused(self, decoded: _Decoded, reason: str) -> Prediction:
        return Prediction(
            file=decoded.name,
            accepted=False,
            reject_reason=reason,
            abnormal_score=None,
            flag=None,
            predicted="",
            prediction_set=None,
            withheld="",
            probabilities={},
            site=self.run.site.name if self.run.site else "",
            distance=None,
            evidence_in_lungs=None,
            warnings=decoded.warnings,
            model=self.run.name,
            version=__version__,
            sop_instance_uid=decoded.sop_instance_uid,
            image=None if decoded.image is None else decoded.image[..., 0],
            activation_maps=None,
            lungs=None,
            features=None,
        )


def load(
    run: Run | str | os.PathLike[str] | None = None,
    *,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    decode: Decode = images.decode,
) -> Predictor:
    """Loads a run for scoring.

    Args:
        run: A run or its folder; the reference model, which comes with the package, when None.
        site: The profile of the hospital that the films come from, which `python -m cxr_keras3.commission` writes; of a
            run that is open already, its own counts.
        runtime: "openvino", or a Keras backend: "jax", "tensorflow" or "torch". When None, OpenVINO where the run is
            exported to it. Keras runs on one backend a process.
        decode: Makes films of the bytes of files. A server that takes files from strangers passes that of
            `images.isolated.Decoders`.

    Raises:
        UserError: Where the folder is not a finished run, the runtime cannot serve it, or the site is not this run's.

    >>> from tfds_cxr import phantom
    >>> predictor = load()
    >>> drawn, _ = phantom.draw("COVID", seed=7, index=0)
    >>> (prediction,) = predictor.predict([drawn])  # paths and the bytes of files are taken as well
    >>> prediction.accepted, sorted(prediction.probabilities)
    (True, ['COVID', 'Lung_Opacity', 'Normal', 'Viral Pneumonia'])
    """
    if not isinstance(run, Run):
        run = Run.open(None if run is None else Path(run), site=None if site is None else Path(site))
    return Predictor(run, runtime=runtime, decode=decode)


def _named(index: int, item: AnyInput) -> Input:
    if isinstance(item, Input):
        return item
    if isinstance(item, (bytes, np.ndarray)):
        return Input(str(index), item)
    return Input(os.fspath(item), Path(item))
