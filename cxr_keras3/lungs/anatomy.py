"""What outlines of the lungs say: sizes and places for research, notes for a reader, and whether they are lungs at all.

Lengths are shares of the picture's side, areas of the picture: the size of a pixel on the patient is not known.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_keras3.images.region import extent
from cxr_keras3.lungs.sides import LUNGS, joined

COLUMNS = ("right_area", "left_area", "right_height", "left_height", "left_share", "tilt")
"""The measures of `Anatomy.measures`."""

CUT_SHARE = 0.12
"""Share of the picture's side that a lung runs along an edge, above which it is cut off there."""

TURNED, NOT_A_CHEST = 20.0, 40.0
"""Tilt in degrees above which a film is said to be turned, and above which these are no lungs."""

FAINT = 18.0
"""Standard deviation of the grey levels in the box around the lungs, below which contrast is said to be very low."""

LEAST_AREA, LARGEST_AREA = 0.03, 0.75
"""Share of the picture that both lungs together have, below and above which they are no lungs of a chest film."""

LEAST_APART, LEAST_HEIGHT = 0.15, 0.15
"""Least distance of the lungs' centres from side to side, and least height of the higher lung."""

HIGHEST, LOWEST = 0.2, 0.72
"""Distance of the lungs' common centre from the top of what the beam lit, as a share of that part's height; on 5,320
films it lies between 0.243 and 0.712."""

DARK, LIT_SHARE = 24, 0.2
"""A row is lit where this share of it is lighter than that: letters on the dark plate around a film are less."""

LARGEST_LIKENESS = 6.0
"""How many times larger than the other a lung may be without being called the only one seen."""


@dataclass(frozen=True)
class Lung:
    """One lung.

    Attributes:
        area: Its area.
        height: From its highest to its lowest point.
        across: Its centre's distance from the left edge.
        down: Its centre's distance from the top.
        cut: The edge of the picture that cuts it off: "top", "bottom", "left" or "right"; empty for none.
    """

    area: float
    height: float
    across: float
    down: float
    cut: str


@dataclass(frozen=True)
class Anatomy:
    """Both lungs; None where one was not found.

    Attributes:
        right: The patient's right lung, at the left of the picture.
        left: The patient's left lung.
    """

    right: Lung | None
    left: Lung | None

    @property
    def tilt(self) -> float:
        """Degrees by which the line between the lungs' centres leaves the horizontal; NaN without both lungs."""
        if self.right is None or self.left is None:
            return math.nan
        return math.degrees(math.atan2(self.left.down - self.right.down, self.left.across - self.right.across))

    @property
    def measures(self) -> dict[str, float]:
        """The measures for research, by `COLUMNS`; 0 for a lung that was not found, NaN for what needs both."""
        areas = [0.0 if lung is None else lung.area for lung in (self.right, self.left)]
        heights = [0.0 if lung is None else lung.height for lung in (self.right, self.left)]
        left_share = areas[1] / sum(areas) if self.right and self.left else math.nan
        return dict(zip(COLUMNS, (*areas, *heights, left_share, self.tilt), strict=True))


def measure(lungs: npt.NDArray[np.bool_]) -> Anatomy:
    """Measures outlines, bool (H, W, 2)."""
    return Anatomy(*(_lung(lungs[..., side]) for side in range(len(LUNGS))))


def _lung(mask: npt.NDArray[np.bool_]) -> Lung | None:
    down, across = mask.sum(axis=1), mask.sum(axis=0)  # pixels of each row and of each column
    area = int(down.sum())
    if not area:
        return None
    height, width = mask.shape
    rows = np.flatnonzero(down)
    along = {"top": mask[0].sum() / width, "bottom": mask[-1].sum() / width}
    along |= {"left": mask[:, 0].sum() / height, "right": mask[:, -1].sum() / height}
    edge = max(along, key=lambda name: float(along[name]))
    return Lung(
        area=area / mask.size,
        height=int(rows[-1] - rows[0] + 1) / height,
        across=float((across @ np.arange(width)) / area + 0.5) / width,
        down=float((down @ np.arange(height)) / area + 0.5) / height,
        cut=edge if along[edge] > CUT_SHARE else "",
    )


def refusal(anatomy: Anatomy, film: npt.NDArray[np.uint8]) -> str:
    """Why these are no lungs of a frontal chest film, in one line; empty where they may be.

    Args:
        anatomy: The lungs' measures.
        film: uint8 (299, 299), with or without a last axis of one.
    """
    why = _implausible(anatomy, film)
    return f"the image does not look like a frontal chest film: {why}; send an upright PA or AP one" if why else ""


def _implausible(anatomy: Anatomy, film: npt.NDArray[np.uint8]) -> str:
    found = [lung for lung in (anatomy.right, anatomy.left) if lung is not None]
    if not found:
        return "no lungs are seen on it"
    area = sum(lung.area for lung in found)
    if area < LEAST_AREA or max(lung.height for lung in found) < LEAST_HEIGHT:
        return f"what might be lungs is too small: {area:.0%} of the picture"
    if area > LARGEST_AREA:
        return f"what might be lungs is too large: {area:.0%} of the picture"
    top, bottom = _lit(film)
    centre = (sum(lung.down * lung.area for lung in found) / area - top) / (bottom - top)
    if not HIGHEST <= centre <= LOWEST:
        return f"what might be lungs lies too {'low' if centre > LOWEST else 'high'}"
    are_apart = not (anatomy.right and anatomy.left) or anatomy.left.across - anatomy.right.across >= LEAST_APART
    if not are_apart or abs(anatomy.tilt) > NOT_A_CHEST:
        return "what might be lungs does not lie side by side"
    return ""


def _lit(film: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Top and bottom of what the beam lit, as distances from the top: some films lie in a corner of a dark plate."""
    light = film.reshape(film.shape[:2])[:, ::2] > DARK
    rows = np.flatnonzero(light.mean(axis=1) >= LIT_SHARE)
    return (float(rows[0]) / len(film), float(rows[-1] + 1) / len(film)) if len(rows) else (0.0, 1.0)


def notes(anatomy: Anatomy, film: npt.NDArray[np.uint8], lungs: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """What a reader should know of a film's making, one short line each.

    Args:
        anatomy: Its lungs' measures.
        film: uint8 (299, 299), with or without a last axis of one.
        lungs: The outlines, bool (H, W, 2).
    """
    found = []
    sides = dict(zip(LUNGS, (anatomy.right, anatomy.left), strict=True))
    for name, other in (("right", "left"), ("left", "right")):
        lung, larger = sides[name], sides[other]
        if larger is not None and (lung is None or larger.area > LARGEST_LIKENESS * lung.area):
            found.append(f"the {name} lung is hardly seen: white, collapsed or not on the film")
        elif lung is not None and lung.cut:
            found.append(f"the {name} lung is cut off at the {lung.cut} edge")
    if abs(anatomy.tilt) > TURNED:
        found.append(f"the film is turned by some {abs(anatomy.tilt):.0f} degrees")
    if contrast(film, lungs) < FAINT:
        found.append("contrast is very low")
    return tuple(found)


def contrast(film: npt.NDArray[np.uint8], lungs: npt.NDArray[np.bool_]) -> float:
    """The standard deviation of the grey levels in the box around the lungs; of the whole film where there are none."""
    flat = film.reshape(film.shape[:2])
    inside = joined(lungs)
    if not inside.any():
        return float(flat.std())
    scale = len(flat) / len(inside)
    top, bottom, left, right = (round(scale * place) for place in extent(inside))
    return float(flat[top:bottom:2, left:right:2].std(dtype=np.float32))  # every fourth pixel tells as much
