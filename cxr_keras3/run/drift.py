"""Whether films differ from those that a run was validated on: distance from the training films, and the answers.

Each measure is held against the validation films by the two-sample Kolmogorov-Smirnov test. A stream is watched by its
last films: there the test is repeated on windows that overlap, so its level is set by replay and not by its p value.
`python -m checks.drift` measures false alarms and delay; docs/explanation/site.md states them.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_keras3.run import abnormality
from cxr_keras3.run.folder import Run
from cxr_keras3.run.gate import Gate
from cxr_keras3.run.site import Difference

WINDOW = 100
"""Films of a stream that are compared at a time."""
EVERY = 10
"""Films between two comparisons."""
ALARM = 1e-6
"""P value below which a window is called different."""

USUAL = 0.99
"""Share of the validation films from which on a film lies unusually far from the training films."""

Floats = npt.NDArray[np.floating]


def difference(found: Floats, expected: Floats) -> Difference:
    """Holds values of films against those of the validation films."""
    from scipy.stats import ks_2samp  # noqa: PLC0415 -- takes half a second that answering saves

    tested = ks_2samp(found, expected)
    return Difference(statistic=float(tested.statistic), p_value=float(tested.pvalue))


def differences(run: Run, *, distances: Floats, scores: Floats) -> dict[str, Difference]:
    """Distances, see `Prediction.distance`, and abnormal scores of films against the run's validation films."""
    gate = run.required_gate
    return {
        "distance": difference(distances, gate.relative(gate.validated)),
        "abnormal_score": difference(scores, abnormality.score(run.required_abnormality.fitted_on)),
    }


def unlike(gate: Gate, distances: Floats) -> npt.NDArray[np.bool_]:
    """Whether films, by their squared distances (N,), lie farther away than 99 of 100 validation films: bool (N,)."""
    return np.asarray(distances > np.quantile(gate.validated, USUAL))


@dataclass(frozen=True)
class _Film:
    distance: float
    score: float


class Stream:
    """Watches films as they come.

    Attributes:
        found: Measure to its difference over the last `WINDOW` films; empty before there are so many.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._films: deque[_Film] = deque(maxlen=WINDOW)
        self._since = 0
        self.found: dict[str, Difference] = {}

    def add(self, *, distance: float | None, score: float | None) -> None:
        """Takes the next film; refused ones are left out, and all of a run that there is nothing to compare with."""
        if distance is None or score is None or self._run.abnormality is None:
            return
        self._films.append(_Film(distance, score))
        self._since += 1
        if len(self._films) == WINDOW and self._since >= EVERY:
            self._since = 0
            self.found = differences(
                self._run,
                distances=np.array([film.distance for film in self._films]),
                scores=np.array([film.score for film in self._films]),
            )

    @property
    def alarms(self) -> tuple[str, ...]:
        """The measures by which the last films differ."""
        return tuple(name for name, each in self.found.items() if each.p_value < ALARM)
