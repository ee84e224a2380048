"""The first question, is this film abnormal, asked so that the hospital gives no answer; kept in `abnormality.npz`.

In the database every COVID film is of a source without normal films, so a classifier may learn "unlike the sources of
the normal films" and calls what it has never seen abnormal. This is a linear layer of its own on the pooled features,
each film's brought to one mean and spread, which contrast and exposure change. It is fitted within sources: normal and
abnormal films count alike in each source and view that holds both kinds, so that neither tells the kind; films of
sources that hold one kind alone count little (`SINGLE_KIND`). Balancing after Idrissi et al., "Simple data balancing
achieves competitive worst-group-accuracy", CLeaR 2022.

A second linear layer says which source a film looks like. A class is evidenced by the sources that show it beside
normal films: a film that looks like none of them gives no ground for naming it. docs/adr/0035 has the figures.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from cxr_keras3.base import arrays, files
from cxr_keras3.base.errors import UserError

SCHEMA_VERSION = 2
SINGLE_KIND = 0.3
"""Weight of the films of sources that hold one kind alone, where those of one source and view with both weigh 1."""
REGULARISATION, SOURCE_REGULARISATION = 1e-4, 1e-2
"""Inverse strength of the penalty on the weights of standardised features, which may be as many as the films: what
holds elsewhere is a broad direction, and a source shows in details."""
MIN_FILMS = 20
"""Films that a source must have for a film to look like it; smaller ones are taken together."""
FOLDS = 5
OTHER = "other"
EPSILON = 1e-6
"""Added to the spread of a film's features, so that equal ones become zeros."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Abnormality:
    """What `abnormality.npz` holds. C is the number of pooled features, S of sources, K of classes.

    Attributes:
        weights: (C,), of the logit of abnormal, for features of `per_film`.
        bias: Of the same.
        sources: Names of the sources, (S,).
        source_weights: (C, S), of the logits of the sources.
        source_bias: (S,).
        evidenced: bool (S, K), whether the source shows the class beside normal films.
        fitted_on: Logits of abnormal of the images it was fitted on, each by a fit without its patient, float (N,).
        fitted_on_normal: bool (N,), which of these are normal.
        fitted_on_likeness: Of the same images, see `likeness`, float (N,).
    """

    weights: Floats
    bias: float
    sources: np.ndarray
    source_weights: Floats
    source_bias: Floats
    evidenced: npt.NDArray[np.bool_]
    fitted_on: Floats
    fitted_on_normal: npt.NDArray[np.bool_]
    fitted_on_likeness: Floats

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """The logit of abnormal, (N,), of pooled features (N, C)."""
        return np.asarray(per_film(features) @ self.weights + self.bias)

    def evidence(self, features: npt.NDArray[np.floating]) -> Floats:
        """Probability that a film is of a source that shows the class beside normal films, (N, K)."""
        logits = features.astype(np.float64) @ self.source_weights + self.source_bias
        return np.asarray(softmax(logits, axis=1) @ self.evidenced)

    def likeness(self, features: npt.NDArray[np.floating]) -> Floats:
        """Probability that a film is of a source that shows normal films beside others, (N,)."""
        return np.asarray(self.evidence(features).max(axis=1))


def per_film(features: npt.NDArray[np.floating]) -> Floats:
    """Pooled features, (N, C), brought to a mean of 0 and a spread of 1 over each film's own."""
    found = features.astype(np.float64)
    centred = found - found.mean(axis=1, keepdims=True)
    return np.asarray(centred / (found.std(axis=1, keepdims=True) + EPSILON))


def score(logits: Floats) -> Floats:
    """The abnormal score, 0..1, of logits: a probability where both kinds are equally frequent."""
    return np.asarray(expit(logits))


def fit(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    *,
    sources: np.ndarray,
    views: np.ndarray,
    groups: np.ndarray,
    normal: int,
    class_count: int,
) -> Abnormality:
    """Fits both layers on images that the network was not trained on.

    Args:
        features: Pooled features, (N, C).
        labels: int (N,).
        sources: (N,), where each image comes from.
        views: (N,), "AP", "PA" or empty.
        groups: (N,), equal for images of one patient.
        normal: The number of the class Normal.
        class_count: Number of classes.

    Raises:
        UserError: Where the images are of one kind only.
    """
    from sklearn.model_selection import GroupKFold  # noqa: PLC0415 -- takes a second that reading the file saves

    abnormal = labels != normal
    if len(np.unique(abnormal)) < 2:
        raise UserError("calibration needs images of Normal and of another class; the validation split holds one kind")
    weights, seen = _weights(abnormal, sources, views), per_film(features)
    held_out = np.zeros(len(labels))
    folds = min(FOLDS, len(np.unique(groups)))
    for train, test in GroupKFold(folds).split(seen, groups=groups):
        if len(np.unique(abnormal[train])) < 2:
            raise UserError("calibration needs several patients of both kinds; the validation split holds too few")
        weight, bias = _linear(seen[train], abnormal[train], _weights(abnormal[train], sources[train], views[train]))
        held_out[test] = (seen[test] @ weight + bias)[:, 0]
    weight, bias = _linear(seen, abnormal, weights)
    slope, base = _scale(held_out, abnormal, weights)
    names, source_weights, source_bias = _source_layer(features, _names(sources))
    evidenced = np.zeros((len(names), class_count), dtype=bool)
    for row, name in enumerate(names):
        shown = np.unique(labels[_names(sources) == name])
        evidenced[row, shown] = normal in shown
    unchecked = Abnormality(
        weights=slope * weight[:, 0],
        bias=slope * float(bias[0]) + base,
        sources=names,
        source_weights=source_weights,
        source_bias=source_bias,
        evidenced=evidenced,
        fitted_on=slope * held_out + base,
        fitted_on_normal=~abnormal,
        fitted_on_likeness=np.zeros(0),
    )
    return dataclasses.replace(unchecked, fitted_on_likeness=unchecked.likeness(features))


def _source_layer(features: npt.NDArray[np.floating], sources: np.ndarray) -> tuple[np.ndarray, Floats, Floats]:
    """The sources' names, (S,), and a layer that tells them alike, weights (C, S) and bias (S,)."""
    names, counts = np.unique(sources, return_counts=True)
    if len(names) == 1:
        return names, np.zeros((features.shape[1], 1)), np.zeros(1)
    alike = len(sources) / len(names) / counts[np.searchsorted(names, sources)]
    weights, bias = _linear(features, sources, alike, strength=SOURCE_REGULARISATION)
    if len(names) == 2:  # one column stands for two
        return names, np.concatenate([np.zeros_like(weights), weights], axis=1), np.append(0.0, bias)
    return names, weights, bias


def _names(sources: np.ndarray) -> np.ndarray:
    found, counts = np.unique(sources, return_counts=True)
    return np.where(np.isin(sources, found[counts >= MIN_FILMS]), sources, OTHER)


def _weights(abnormal: npt.NDArray[np.bool_], sources: np.ndarray, views: np.ndarray) -> Floats:
    """Weights (N,) with a mean of 1, under which kind and stratum are independent where a stratum has both kinds."""
    strata = np.char.add(np.char.add(sources, "/"), views)
    weights, alone = np.zeros(len(strata)), np.zeros(len(strata), dtype=bool)
    for stratum in np.unique(strata):
        inside = strata == stratum
        kinds = [inside & (abnormal == kind) for kind in (False, True)]
        if all(kind.any() for kind in kinds):
            for kind in kinds:
                weights[kind] = 1.0 / kind.sum()
        else:
            alone |= inside
    if not weights.any():  # no source holds both kinds: nothing to fit within
        return np.ones(len(strata))
    if alone.any():
        weights[alone] = SINGLE_KIND / alone.sum()
    return np.asarray(weights / weights.mean())


def _linear(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.generic],
    weights: Floats,
    *,
    strength: float = REGULARISATION,
) -> tuple[Floats, Floats]:
    """Weights (C, columns) and bias (columns,) of a logistic regression on standardised features, for raw ones."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- see above

    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, np.inf)  # a feature that never stirs says nothing
    fitted = LogisticRegression(C=strength, max_iter=500).fit(
        (features - mean) / spread, targets, sample_weight=weights
    )
    weight = (fitted.coef_ / spread).T
    return weight, fitted.intercept_ - mean @ weight


def _scale(logits: Floats, abnormal: npt.NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Slope and intercept that make shrunk logits mean what they say (Platt, 1999); 1 and 0 where they are no use."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- see above

    fitted = LogisticRegression(C=1e6).fit(logits[:, np.newaxis], abnormal, sample_weight=weights)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1.0, 0.0)


def save(abnormality: Abnormality, path: Path) -> None:
    """Writes the file whole or not at all."""
    with files.replacing(path) as written:
        np.savez(written, schema_version=SCHEMA_VERSION, **vars(abnormality))


def read(path: Path) -> Abnormality:
    """Reads a run's `abnormality.npz`.

    Raises:
        UserError: Where the file is damaged or of another version.
    """
    remedy = "delete it and run python -m cxr_keras3.evaluate on the run folder"
    found = arrays.read(path, kind="what training writes there", remedy=remedy)
    version = found.get("schema_version", np.zeros(()))
    if version.shape or version != SCHEMA_VERSION:
        raise UserError(f"{path} must have schema version {SCHEMA_VERSION}, it has {version}; {remedy}")
    try:
        _check(found)
        values: dict[str, Any] = {name: found[name] for name in Abnormality.__dataclass_fields__}
        return Abnormality(**values | {"bias": float(found["bias"])})
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} is not what training writes there ({type(error).__name__}: {error}); {remedy}"
        ) from error


def _check(found: Mapping[str, np.ndarray]) -> None:
    features, sources, films = (found[name].size for name in ("weights", "sources", "fitted_on"))
    expected = {
        "weights": ("f", (features,)),
        "bias": ("f", ()),
        "sources": ("U", (sources,)),
        "source_weights": ("f", (features, sources)),
        "source_bias": ("f", (sources,)),
        "evidenced": ("b", (sources, found["evidenced"].size // max(sources, 1))),
        "fitted_on": ("f", (films,)),
        "fitted_on_normal": ("b", (films,)),
        "fitted_on_likeness": ("f", (films,)),
    }
    arrays.require(found, expected)
