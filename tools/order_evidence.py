"""Measures how alike COVID images are whose numbers are near, and what a cut into runs of numbers divides.

    python -m tools.order_evidence COVID_IMAGES [--figure docs/images/bimcv_runs.png]

Draws the figure of docs/adr/0032-runs-of-neighbours-for-bimcv.md and prints its numbers. COVID_IMAGES is a folder with
COVID-*.png, any part of the database's; the more of them, the smaller the errors.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from PIL import Image

from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr import grouping
from tools.provenance_evidence import BIMCV_RUN, FIRST_BIMCV

ALIKE = 0.8
"""Least similarity of two films that look alike; copies, from `grouping.NEAR_DUPLICATE_SIMILARITY` on, are left out."""

DISTANCES = np.arange(1, 31)
LENGTHS = np.arange(1, 61)
SURPLUS = 8  # distances up to which neighbours of BIMCV's block look alike more often than others

FloatArray = npt.NDArray[np.float64]


def shares(numbers: npt.NDArray[np.int64], similarity: npt.NDArray[np.float32]) -> tuple[FloatArray, FloatArray, float]:
    """Share of pairs that look alike by the distance of their numbers, its standard error, and that of far pairs."""
    apart = numbers[None, :] - numbers[:, None]
    alike = (similarity >= ALIKE) & (similarity < grouping.NEAR_DUPLICATE_SIMILARITY)
    far = float(alike[apart > 60].mean())
    found = np.array([alike[apart == distance].mean() for distance in DISTANCES])
    counts = np.array([(apart == distance).sum() for distance in DISTANCES])
    return found, np.sqrt(np.maximum(found, far) / counts), far


def divided(surplus: FloatArray) -> FloatArray:
    """Share of the surplus of look-alike neighbours that runs of each of `LENGTHS` divide.

    A cut every L numbers comes between two films d apart with probability min(1, d / L).

    Args:
        surplus: By distance 1, 2, …: how much more often neighbours look alike than far pairs.
    """
    apart = np.arange(1, len(surplus) + 1)
    cut = np.minimum(1, apart / LENGTHS[:, None])
    return np.asarray(cut @ surplus / surplus.sum())


def main(arguments: Sequence[str]) -> int:
    """Prints the numbers and draws the figure."""
    parser = argparse.ArgumentParser(prog="python -m tools.order_evidence", description=__doc__)
    parser.add_argument("covid_images", type=Path)
    parser.add_argument("--figure", type=Path, default=Path("docs/images/bimcv_runs.png"))
    options = parser.parse_args(arguments)
    paths = sorted(options.covid_images.glob("COVID-*.png"))
    if not paths:
        raise UserError(f"COVID_IMAGES must hold COVID-*.png, {options.covid_images} holds none")
    numbers = np.array([int(path.stem.rpartition("-")[2]) for path in paths])
    prints = np.stack([grouping.fingerprint(np.asarray(Image.open(path).convert("L"))) for path in paths])
    blocks = {
        f"1 to {FIRST_BIMCV - 1}: several sources": numbers < FIRST_BIMCV,
        f"{FIRST_BIMCV} to 3616: BIMCV": numbers >= FIRST_BIMCV,
    }
    found = {name: shares(numbers[chosen], prints[chosen] @ prints[chosen].T) for name, chosen in blocks.items()}
    for name, (of_distance, _, far) in found.items():
        listed = ", ".join(
            f"{distance}: {share:.2%}" for distance, share in zip(DISTANCES[:12], of_distance, strict=False)
        )
        sys.stdout.write(f"COVID {name}: far pairs {far:.2%}; by distance {listed}\n")
    of_distance, _, far = list(found.values())[-1]
    cuts = divided(np.maximum(of_distance[:SURPLUS] - far, 0))
    for length in (5, 10, BIMCV_RUN, 40, 60):
        sys.stdout.write(f"runs of {length}: {cuts[length - 1]:.0%} of the surplus divided, {1723 / length:.0f} runs\n")
    _draw(found, cuts, options.figure)
    return 0


def _draw(found: dict[str, tuple[FloatArray, FloatArray, float]], cuts: FloatArray, path: Path) -> None:
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    mpl.use("Agg")
    figure, panels = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", width_ratios=(1, 1, 1))
    for panel, (name, (of_distance, error, far)) in zip(panels, found.items(), strict=False):
        panel.bar(DISTANCES, 100 * of_distance, color="#4f7da6", width=0.8)
        panel.errorbar(DISTANCES, 100 * of_distance, 100 * error, fmt="none", ecolor="#9fb0bf", lw=1)
        panel.axhline(100 * far, color="#c98a00", lw=1.2, label="pairs more than 60 apart")
        panel.set(title=f"COVID-{name}", xlabel="distance of the numbers", ylim=(0, 3))
    panels[0].set_ylabel("pairs that look alike, %")
    panels[0].legend(frameon=False, loc="upper right")
    panels[2].plot(LENGTHS, 100 * cuts, color="#4f7da6")
    panels[2].plot([BIMCV_RUN], [100 * cuts[BIMCV_RUN - 1]], "o", color="#c98a00")
    panels[2].annotate(
        f"chosen: {BIMCV_RUN}", (BIMCV_RUN, 100 * cuts[BIMCV_RUN - 1]), (8, 10), textcoords="offset points"
    )
    panels[2].set(
        title="Cut into runs", xlabel="length of a run", ylabel="look-alike neighbours divided, %", ylim=(0, 100)
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    run_command(main)
