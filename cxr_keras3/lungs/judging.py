"""How well outlines agree with those that people drew: by source and class, and under painted opacities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.lungs.anatomy import COLUMNS, measure
from cxr_keras3.lungs.data import Outlined
from cxr_keras3.lungs.measures import dice, surface_distance
from cxr_keras3.lungs.painting import half_white
from cxr_keras3.lungs.sides import LUNGS, SIZE, joined
from cxr_keras3.statistics.bootstrap import mean
from cxr_keras3.statistics.figures import Figure

Outlining = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.bool_]]
"""Takes films uint8 (N, 299, 299, 1), gives lungs bool (N, 256, 256, 2)."""

SCHEMA_VERSION = 1
LEAST_FILMS = 10
"""Films of a source or class below which no figure is given."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well outlines agree with a person's, over some films.

    Attributes:
        films: Their number.
        dice: Of both lungs together.
        by_lung: "right" and "left" to the Dice of that lung.
        surface_distance: Average distance of the outlines, as a share of the picture's height.
        dice_half_white: Of both lungs, where the lower half of the larger one is painted white.
        lost_half_white: `dice` less that, film by film.
    """

    films: int
    dice: Figure
    by_lung: Mapping[str, Figure]
    surface_distance: Figure
    dice_half_white: Figure
    lost_half_white: Figure


@dataclass(frozen=True, kw_only=True)
class MeasureError:
    """How far a measure from found outlines lies from that of drawn ones (Bland and Altman, The Lancet 1, 1986).

    Attributes:
        films: With both measures.
        bias: Mean of found less drawn.
        low: Lower limit of agreement: bias less 1.96 standard deviations.
        high: Upper limit of agreement.
    """

    films: int
    bias: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What `agreement.json` says of a segmenter.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        segmenter: Its fingerprint.
        films: What it was judged on, in words.
        parts: "all", and "source …" and "class …", to figures.
        measures: Each of `anatomy.COLUMNS` to its error.
    """

    schema_version: int
    segmenter: str
    films: str
    parts: Mapping[str, Agreement]
    measures: Mapping[str, MeasureError]


@dataclass(frozen=True, eq=False)
class Scores:
    """The same, film by film: each float (N,) but `by_lung` (N, 2)."""

    dice: np.ndarray
    by_lung: np.ndarray
    surface_distance: np.ndarray
    dice_half_white: np.ndarray


def score(outlining: Outlining, films: Outlined) -> tuple[Scores, npt.NDArray[np.bool_]]:
    """Measures every film; returns the outlines found, too."""
    found, whitened = outlining(films.images), outlining(half_whitened(films))
    truth = joined(films.lungs)
    both, both_whitened = joined(found), joined(whitened)
    pairs = list(zip(both, truth, strict=True))
    scores = Scores(
        dice=np.array([dice(*pair) for pair in pairs]),
        by_lung=np.array(
            [
                [dice(one[..., side], other[..., side]) for side in range(len(LUNGS))]
                for one, other in zip(found, films.lungs, strict=True)
            ]
        ),
        surface_distance=np.array([surface_distance(*pair) for pair in pairs]),
        dice_half_white=np.array([dice(*pair) for pair in zip(both_whitened, truth, strict=True)]),
    )
    return scores, found


def half_whitened(films: Outlined) -> npt.NDArray[np.uint8]:
    """The films with the lower half of the larger lung painted white."""
    changed = []
    for film, lungs in zip(films.images, films.lungs, strict=True):
        small = Image.fromarray(film[..., 0]).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        white = np.clip(half_white(np.asarray(small, dtype=np.float32), lungs), 0, 255).astype(np.uint8)
        whole = Image.fromarray(white).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
        changed.append(np.asarray(whole)[..., np.newaxis])
    return np.stack(changed)


def agreement(scores: Scores, films: Outlined) -> dict[str, Agreement]:
    """Figures over all films, and over each source and class with `LEAST_FILMS`."""
    parts = {"all": np.ones(len(films), dtype=bool)}
    for kind, values in (("source", films.sources), ("class", films.classes)):
        parts |= {f"{kind} {value}": values == value for value in np.unique(values) if value}
    return {
        name: _figures(scores, part, groups=films.groups) for name, part in parts.items() if part.sum() >= LEAST_FILMS
    }


def _figures(scores: Scores, part: np.ndarray, *, groups: np.ndarray) -> Agreement:
    chosen = groups[part]

    def figure(values: np.ndarray) -> Figure:
        kept = np.isfinite(values[part])
        return mean(values[part][kept], groups=chosen[kept])

    return Agreement(
        films=int(part.sum()),
        dice=figure(scores.dice),
        by_lung={name: figure(scores.by_lung[:, side]) for side, name in enumerate(LUNGS)},
        surface_distance=figure(scores.surface_distance),
        dice_half_white=figure(scores.dice_half_white),
        lost_half_white=figure(scores.dice - scores.dice_half_white),
    )


def measure_errors(found: npt.NDArray[np.bool_], films: Outlined) -> dict[str, MeasureError]:
    """The error of each measure of `anatomy.COLUMNS`, over the films where found and drawn outlines both have it."""
    pairs = [(measure(one).measures, measure(other).measures) for one, other in zip(found, films.lungs, strict=True)]
    errors = {}
    for name in COLUMNS:
        differences = np.array([one[name] - other[name] for one, other in pairs])
        differences = differences[np.isfinite(differences)]
        bias, spread = float(differences.mean()), float(differences.std(ddof=1))
        errors[name] = MeasureError(
            films=len(differences), bias=bias, low=bias - 1.96 * spread, high=bias + 1.96 * spread
        )
    return errors
