"""What a run is worth at one hospital, from some hundred of its films, and what its answers there change by.

Without labels one thing is adapted: the level of the logit of abnormal. Two distributions are known from validation,
of normal and of abnormal films; a site shifts both and mixes them in its own share. Shift and share are found together,
by maximum likelihood (label shift after Saerens et al., Neural Computation 14, 2002, with a location added), and the
shift is taken only where a likelihood-ratio test rejects that there is none. Features are left as they are.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError
from cxr_keras3.run import abnormality, calibration, drift
from cxr_keras3.run.abnormality import Abnormality
from cxr_keras3.run.calibration import NORMAL, Calibration
from cxr_keras3.run.folder import Run
from cxr_keras3.run.site import SCHEMA_VERSION, Site, Verdict
from cxr_keras3.statistics.bootstrap import Bootstrap
from cxr_keras3.statistics.figures import Figure
from cxr_keras3.statistics.metrics import auroc

if TYPE_CHECKING:
    from cxr_keras3.serving import Prediction

MIN_FILMS = 50
"""Films below which nothing is said of a site."""
MIN_OF_A_KIND = 10
"""Labelled normal films, and abnormal ones, from which on the threshold is set by labels."""
MIN_TO_VOUCH = 20
"""Labelled films of a class, and normal ones, from which on the class may be named at the site."""
FALSE_ALARMS = 0.01
"""Share of sites like the validation films that are called different; each of the two tests gets half of it."""
LEAST_AUROC = 0.75
"""Of abnormal against normal at the site, with labels; below it the run is not to be used there."""
MOST_UNLIKE, MOST_REFUSED = 0.5, 0.3
"""Shares of the films, unlike all that is known or refused, above which the run is not to be used there."""
_LIKELIHOOD_RATIO = 6.63  # chi-squared with one degree of freedom: one in a hundred by chance
_BANDWIDTH = 0.4
_FLOOR = 1e-6  # of a density: films unlike both kinds shall not decide alone


@dataclass(frozen=True, eq=False)
class Level:
    """Where a site's logits of abnormal lie.

    Attributes:
        offset: To be added to them; 0 where none is needed.
        abnormal_share: Of the films, 0..1.
    """

    offset: float
    abnormal_share: float


def commission(
    run: Run,
    predictions: Sequence["Prediction"],
    labels: Mapping[str, int],
    *,
    name: str,
    sensitivity: float | None = None,
) -> Site:
    """Makes a site profile.

    Args:
        run: The run, calibrated.
        predictions: Of the site's films, without a site.
        labels: File as the predictions name it to the number of its class, for those that are labelled.
        name: The site's.
        sensitivity: Share of abnormal films to flag, where labels set the threshold; the run's when None.

    Raises:
        UserError: Where too few films were accepted.
    """
    accepted = [each for each in predictions if each.accepted and each.features is not None]
    if len(accepted) < MIN_FILMS:
        raise UserError(
            f"a site is commissioned from at least {MIN_FILMS} accepted films, better 100 to 500; of "
            f"{len(predictions)} received {len(accepted)} were accepted; send more"
        )
    features = np.stack([each.features for each in accepted if each.features is not None])
    heads, gate = run.required_abnormality, run.required_gate
    logits = heads.logits(features)
    distances = gate.distances(features)
    differences = {
        "distance": drift.difference(distances, gate.validated),
        "likeness": drift.difference(heads.likeness(features), heads.fitted_on_likeness),
    }
    unlike = float(np.mean(drift.unlike(gate, distances)))
    known = np.array([labels.get(each.file, -1) for each in accepted])
    found = _adjusted(run, accepted, logits, known, sensitivity=sensitivity)
    refused = len(predictions) - len(accepted)
    verdict, reasons = _verdict(
        found,
        different=any(each.p_value < FALSE_ALARMS / len(differences) for each in differences.values()),
        unlike=unlike,
        refused=refused / len(predictions),
        films=len(accepted),
    )
    return Site(
        schema_version=SCHEMA_VERSION,
        name=name,
        run=run.name,
        fingerprint=run.fingerprint,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        films=len(accepted),
        refused=refused,
        labelled=int(np.sum(known >= 0)),
        differences=differences,
        unlike=unlike,
        offset=found.level.offset if found.level else 0.0,
        abnormal_share=found.level.abnormal_share if found.level else None,
        calibration=found.calibration,
        vouched=found.vouched,
        verdict=verdict,
        reasons=reasons,
    )


@dataclass(frozen=True, eq=False)
class _Adjusted:
    """What is adapted: the level without labels, or the calibration with them, and how they rank."""

    level: Level | None
    calibration: Calibration
    ranked: Figure | None
    vouched: tuple[str, ...]


def _adjusted(
    run: Run,
    accepted: Sequence["Prediction"],
    logits: npt.NDArray[np.float64],
    known: npt.NDArray[np.integer],
    *,
    sensitivity: float | None,
) -> _Adjusted:
    labelled, normal = known >= 0, run.class_names.index(NORMAL)
    if min(np.sum(known == normal), np.sum(labelled & (known != normal))) < MIN_OF_A_KIND:
        return _Adjusted(estimate_level(logits, run.required_abnormality), run.required_calibration, None, ())
    return _Adjusted(
        level=None,
        calibration=_recalibrated(run, accepted, logits, known, sensitivity=sensitivity),
        ranked=Bootstrap(np.arange(labelled.sum())).figure(auroc(known[labelled] != normal, logits[labelled])),
        vouched=_vouched(run, accepted, known),
    )


def estimate_level(logits: npt.NDArray[np.floating], heads: Abnormality) -> Level:
    """Shift and share of abnormal films of unlabelled logits (N,), by maximum likelihood over a grid."""
    from scipy.stats import gaussian_kde  # noqa: PLC0415 -- see above

    spread = float(heads.fitted_on.std())
    reach = np.abs(np.concatenate([logits, heads.fitted_on])).max() + 3 * spread
    places = np.linspace(-reach, reach, 2001)
    normal, abnormal = (
        gaussian_kde(heads.fitted_on[kind], _BANDWIDTH)(places) + _FLOOR
        for kind in (heads.fitted_on_normal, ~heads.fitted_on_normal)
    )
    shares = np.linspace(0.02, 0.98, 49)[:, np.newaxis]

    def best(offset: float) -> tuple[float, float]:
        """Largest log likelihood at an offset, penalised as if sites differed by one spread, and its share."""
        density = (1 - shares) * np.interp(logits + offset, places, normal)
        density += shares * np.interp(logits + offset, places, abnormal)
        likelihoods = np.log(density).sum(axis=1) - 0.5 * (offset / spread) ** 2
        return float(likelihoods.max()), float(shares[likelihoods.argmax(), 0])

    offsets = np.linspace(-2, 2, 161) * spread
    likelihoods = [best(offset)[0] for offset in offsets]
    offset = float(offsets[int(np.argmax(likelihoods))])
    if 2 * (max(likelihoods) - best(0.0)[0]) < _LIKELIHOOD_RATIO:
        offset = 0.0
    return Level(offset, best(offset)[1])


def _recalibrated(
    run: Run,
    accepted: Sequence["Prediction"],
    logits: npt.NDArray[np.float64],
    known: npt.NDArray[np.integer],
    *,
    sensitivity: float | None,
) -> Calibration:
    """The run's calibration with threshold and prediction sets fitted on the labelled films."""
    found, labelled = run.required_calibration, known >= 0
    chances = np.array([[each.probabilities[name] for name in run.class_names] for each in accepted])
    return calibration.fit(
        np.log(np.maximum(chances[labelled], 1e-12)) * found.temperature,
        abnormality.score(logits[labelled]),
        known[labelled],
        class_names=run.class_names,
        sensitivity=found.sensitivity if sensitivity is None else sensitivity,
        temperature=found.temperature,
        split="site",
    )


def _vouched(run: Run, accepted: Sequence["Prediction"], known: npt.NDArray[np.integer]) -> tuple[str, ...]:
    """Classes that the labelled films hold beside normal ones, and that the model tells from all others there."""
    normal, found = run.class_names.index(NORMAL), []
    if np.sum(known == normal) < MIN_TO_VOUCH:
        return ()
    for index, name in enumerate(run.class_names):
        if index == normal or np.sum(known == index) < MIN_TO_VOUCH:
            continue
        chances = np.array([each.probabilities[name] for each in accepted])[known >= 0]
        told = Bootstrap(np.arange(len(chances))).figure(auroc(known[known >= 0] == index, chances))
        if told.low is not None and told.low >= LEAST_AUROC:
            found.append(name)
    return tuple(found)


def _verdict(
    adjusted: _Adjusted, *, different: bool, unlike: float, refused: float, films: int
) -> tuple[Verdict, tuple[str, ...]]:
    found, level, ranked = "differ" if different else "do not differ", adjusted.level, adjusted.ranked
    point = adjusted.calibration
    said = (
        f"the {films} films {found} from the validation films (by tests that call {FALSE_ALARMS:.0%} of like sites "
        f"different); {unlike:.0%} are further from the training films than 99 of 100 validation films"
    )
    reasons = [said]
    verdict: Verdict = "as is"
    if ranked is not None:
        verdict = "recalibrated"
        reasons.append(
            f"the abnormal score tells abnormal from normal with an AUROC of {ranked.text(2)}; the threshold is now "
            f"{point.abnormal_threshold:.3f}, for a sensitivity of {point.sensitivity:.0%} here"
        )
    elif level is not None and level.offset:
        verdict = "adapted"
        reasons.append(
            f"the logit of abnormal lies {abs(level.offset):.2f} too {'low' if level.offset > 0 else 'high'} here, "
            f"which is made up for; {level.abnormal_share:.0%} of the films are taken for abnormal; no label checks it"
        )
    refusals = []
    if ranked is not None and ranked.value is not None and ranked.value < LEAST_AUROC:
        refusals.append(f"the AUROC of {ranked.text(2)} is below {LEAST_AUROC}")
    if unlike > MOST_UNLIKE:
        refusals.append(f"{unlike:.0%} of the films are unlike all training films, more than {MOST_UNLIKE:.0%}")
    if refused > MOST_REFUSED:
        refusals.append(f"{refused:.0%} of the films are refused, more than {MOST_REFUSED:.0%}")
    if refusals:
        return "do not use", (*refusals, *reasons)
    return verdict, tuple(reasons)
