"""Measures how well the fingerprint of `tfds_cxr.grouping` tells copies of a film from other films.

    python -m tools.duplicate_evidence SHARED_DATA [--figure docs/images/near_duplicate_threshold.png]

Draws the figure of docs/adr/0007-group-and-split-by-evidence.md and prints its numbers.
SHARED_DATA is as in `tools.make_provenance`.
"""

import argparse
import io
import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from PIL import Image, ImageEnhance, ImageOps

from cxr_keras3.base.errors import run_command
from tfds_cxr import grouping, provenance
from tools.provenance_evidence import Evidence

SAMPLE, SEED = 400, 7  # images that are altered, and the choice of them

FloatArray = npt.NDArray[np.float32]
Alteration = Callable[[Image.Image], Image.Image]


def _jpeg(quality: int) -> Alteration:
    def alter(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("L")

    return alter


def _gamma(exponent: float) -> Alteration:
    return lambda image: image.point([round(255 * (level / 255) ** exponent) for level in range(256)])


def _crop(fraction: float) -> Alteration:
    def alter(image: Image.Image) -> Image.Image:
        edge = round(image.width * fraction)
        return image.crop((edge, edge, image.width - edge, image.height - edge)).resize(image.size)

    return alter


ALTERATIONS: dict[str, Alteration] = {
    "256 to 299 px": lambda image: image.resize((299, 299), Image.Resampling.LANCZOS),
    "256 to 96 px": lambda image: image.resize((96, 96), Image.Resampling.BILINEAR),
    "JPEG quality 50": _jpeg(50),
    "JPEG quality 15": _jpeg(15),
    "gamma 0.7": _gamma(0.7),
    "gamma 1.5": _gamma(1.5),
    "contrast +30 %": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "brightness +30, clipped": lambda image: image.point([min(255, level + 30) for level in range(256)]),
    "histogram equalised": ImageOps.equalize,
    "1 % cut off each side": _crop(0.01),
    "2 % cut off each side": _crop(0.02),
}


def main(arguments: Sequence[str]) -> int:
    """Measures, draws and prints."""
    parser = argparse.ArgumentParser(prog="python -m tools.duplicate_evidence", description=__doc__)
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--figure", type=Path, default=Path("docs/images/near_duplicate_threshold.png"))
    options = parser.parse_args(arguments)
    paths = sorted((options.shared_data / "radiography_256").glob("*/*/images/*.png"))
    prints = np.stack([_fingerprint(Image.open(path)) for path in paths])
    entries = [provenance.load()[path.stem] for path in paths]
    originals = _against_originals(options.shared_data / "radiography_299_sample", paths, prints)
    copies = {"256 px against the original file": originals, **_altered(paths, prints)}
    different, other, same_person = _other_films(prints, entries)
    copies["COVID files of one source file"] = _known_copies(options.shared_data, paths, prints)
    _report(sys.stdout, copies, different, other, same_person)
    _draw(options.figure, copies, different, other)
    return 0


def _fingerprint(image: Image.Image) -> FloatArray:
    return grouping.fingerprint(np.asarray(image.convert("L")))


def _against_originals(folder: Path, paths: Sequence[Path], prints: FloatArray) -> FloatArray:
    row = {path.stem: number for number, path in enumerate(paths)}
    found = sorted(folder.glob("*/*/images/*.png"))
    return np.array([_fingerprint(Image.open(path)) @ prints[row[path.stem]] for path in found])


def _altered(paths: Sequence[Path], prints: FloatArray) -> dict[str, FloatArray]:
    chosen = np.random.default_rng(SEED).choice(len(paths), SAMPLE, replace=False)
    films = {number: Image.open(paths[number]).convert("L") for number in chosen}
    return {
        name: np.array([_fingerprint(alter(film)) @ prints[number] for number, film in films.items()])
        for name, alter in ALTERATIONS.items()
    }


def _known_copies(shared_data: Path, paths: Sequence[Path], prints: FloatArray) -> FloatArray:
    """Pairs of COVID images that were found equal to the same file of a source collection."""
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    evidence = Evidence(shared_data)
    for row, path in enumerate(paths):
        for collection, files in evidence.covid_files.get(path.stem, {}).items():
            for file in files:
                holders[collection, file].append(row)
    pairs = sorted({pair for rows in holders.values() for pair in itertools.combinations(rows, 2)})
    return np.array([prints[first] @ prints[second] for first, second in pairs])


def _other_films(
    prints: FloatArray, entries: Sequence[provenance.Provenance]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Similarities of pairs in different groups, by what is known of the persons, and of one person's films.

    Persons surely differ where both have Kermany names, or where a Kermany child meets another source.
    """
    child = np.array([entry.source == "kermany" for entry in entries])
    named = np.array([bool(entry.patient_id) for entry in entries]) & child
    group = np.unique([entry.group for entry in entries], return_inverse=True)[1]
    different, other, same_person = [], [], []
    for row in range(len(prints) - 1):
        later = slice(row + 1, None)
        similarity = prints[later] @ prints[row]
        apart = group[later] != group[row]
        sure = (child[later] != child[row]) | (named[later] & named[row])
        different.append(similarity[apart & sure])
        other.append(similarity[apart & ~sure])
        same_person.append(similarity[~apart & named[later] & named[row]])
    return np.concatenate(different), np.concatenate(other), np.concatenate(same_person)


def _report(
    out: TextIO,
    copies: dict[str, FloatArray],
    different: FloatArray,
    other: FloatArray,
    same_person: FloatArray,
) -> None:
    threshold = grouping.NEAR_DUPLICATE_SIMILARITY
    films = {"surely different persons": different, "other pairs": other, "one child's films": same_person}
    out.write(f"{'':34}{'pairs':>11}{'lowest':>9}{'5 %':>9}{'median':>9}{'highest':>9}{'joined':>9}\n")
    for name, values in {**copies, **films}.items():
        low, five, middle, high = np.percentile(values, [0, 5, 50, 100])
        joined = int((values >= threshold).sum())
        out.write(f"{name:34}{len(values):11,}{low:9.4f}{five:9.4f}{middle:9.4f}{high:9.4f}{joined:9,}\n")


def _draw(path: Path, copies: dict[str, FloatArray], different: FloatArray, other: FloatArray) -> None:
    mpl.use("Agg")
    figure, (films, same) = plt.subplots(
        2, 1, figsize=(8, 7), height_ratios=[1, 1.3], sharex=True, layout="constrained"
    )
    bins = np.linspace(0.6, 1, 161)
    films.hist(other, bins, histtype="step", color="0.55", label="other pairs in different groups")
    films.hist(different, bins, histtype="stepfilled", color="#0072B2", alpha=0.6, label="surely different persons")
    films.set(yscale="log", ylabel="pairs per 0.0025", title="Different films", xlim=(0.6, 1.002))
    films.legend(loc="lower left", frameon=False)
    for line, values in enumerate(copies.values()):
        jitter = np.random.default_rng(SEED).uniform(-0.25, 0.25, len(values))
        same.plot(values, line + jitter, ".", color="#D55E00", markersize=4, alpha=0.5, markeredgewidth=0)
    same.set_yticks(range(len(copies)), list(copies))
    same.invert_yaxis()
    hidden = sum(int((values < 0.6).sum()) for values in copies.values())
    same.set(title=f"One film, altered ({hidden} below 0.6 not shown)", xlabel="similarity of fingerprints")
    threshold = grouping.NEAR_DUPLICATE_SIMILARITY
    for axis in (films, same):
        axis.axvline(threshold, color="black", linewidth=1, linestyle="--")
        axis.spines[["top", "right"]].set_visible(False)
    films.annotate(
        f"near duplicate from {threshold} on", (threshold, 0.97), xytext=(-6, 0), textcoords="offset points",
        xycoords=("data", "axes fraction"), ha="right", va="top",
    )  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run_command(main)
