"""The answer as a reader needs it: first whether the film is abnormal, then which class, or why none is named.

One rule for all that answer: `predict`, the demo, the gateway, bulk scoring and evaluation. Nothing in an answer
contradicts: the class is Normal exactly where the film is not flagged, and the prediction set holds it. docs/adr/0035.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cxr_keras3.run import abnormality, calibration
from cxr_keras3.run.calibration import NORMAL

if TYPE_CHECKING:
    from cxr_keras3.run.folder import Run

LEAST_EVIDENCE = 0.5
"""A class is named where the film looks more likely than not of a source that shows it beside normal films."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What is said of N films.

    Attributes:
        probabilities: Calibrated, float64 (N, classes), for research: they read the source of a film, too.
        abnormal_scores: float64 (N,), 0..1.
        flags: bool (N,), whether a reader should look first; None where the run is not calibrated.
        predicted: int (N,): Normal where not flagged, else the most probable class but Normal. Where the run is not
            calibrated, the most probable class.
        prediction_sets: bool (N, classes), those that cannot be ruled out at a coverage of 90 %, and the predicted
            one; None where the run is not calibrated.
        withheld: (N,), why the predicted class is not to be named to a reader, one line; empty where it is.
    """

    probabilities: npt.NDArray[np.float64]
    abnormal_scores: npt.NDArray[np.float64]
    flags: npt.NDArray[np.bool_] | None
    predicted: npt.NDArray[np.int64]
    prediction_sets: npt.NDArray[np.bool_] | None
    withheld: tuple[str, ...]


def answer(run: "Run", logits: npt.NDArray[np.floating], features: npt.NDArray[np.floating]) -> Answers:
    """Answers of the model's outputs.

    Args:
        run: The run, with the site that the films come from where that is known.
        logits: float (N, classes).
        features: Pooled features, float (N, C).
    """
    probabilities = run.probabilities(logits)
    names, normal = run.class_names, run.class_names.index(NORMAL)
    calibrated = run.operating_point
    if calibrated is None:
        predicted = probabilities.argmax(axis=1)
        return Answers(probabilities, 1.0 - probabilities[:, normal], None, predicted, None, ("",) * len(predicted))
    heads, site = run.required_abnormality, run.site
    scores = abnormality.score(heads.logits(features) + (site.offset if site else 0.0))
    flags = calibrated.flag(scores)
    abnormal = np.where(np.arange(len(names)) == normal, -1.0, probabilities).argmax(axis=1)
    predicted = np.where(flags, abnormal, normal)
    sets = _with_predicted(calibrated, probabilities, predicted)
    evidence = heads.evidence(features)[np.arange(len(predicted)), predicted]
    shown = np.asarray(heads.evidenced.any(axis=0))
    named_here = {normal, *(names.index(name) for name in (site.vouched if site else ()))}
    withheld = tuple(
        "" if index in named_here or found >= LEAST_EVIDENCE else _reason(names[index], shown=bool(shown[index]))
        for index, found in zip(predicted, evidence, strict=True)
    )
    return Answers(probabilities, scores, flags, predicted, sets, withheld)


def named(inside: npt.NDArray[np.bool_], class_names: Sequence[str]) -> tuple[str, ...]:
    """The classes of a prediction set, bool (classes,)."""
    return tuple(name for name, held in zip(class_names, inside, strict=True) if held)


def _with_predicted(
    calibrated: calibration.Calibration, probabilities: npt.NDArray[np.float64], predicted: npt.NDArray[np.integer]
) -> npt.NDArray[np.bool_]:
    """Prediction sets that hold the predicted class, so that they cover no less than they promise."""
    sets = calibrated.prediction_sets(probabilities)
    sets[np.arange(len(predicted)), predicted] = True
    return sets


def _reason(name: str, *, shown: bool) -> str:
    if shown:
        return f"{name} is not named: the film is unlike those of the sources that show it beside normal films"
    return f"{name} cannot be told apart from the hospital: no source in training has it beside normal films"
