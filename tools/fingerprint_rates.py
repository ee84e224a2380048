"""Says how many films of folders are found among the database's fingerprints, and how far the others stay away.

    python -m tools.fingerprint_rates FOLDER... [--nih]

With --nih the files are named as NIH ChestX-ray14 names them, and the database's own table says which film each is.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.base.errors import run_command
from cxr_keras3.statistics.bootstrap import share
from tfds_cxr.collections import fingerprints, layout, records

Found = tuple[str, str, float]
"""File, film of the database, agreement."""


def main(arguments: Sequence[str]) -> int:
    """Prints a line a folder."""
    parser = argparse.ArgumentParser(prog="python -m tools.fingerprint_rates", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--nih", action="store_true", help="the files' names tell which films they are")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        paths = [Path(str(path)) for path in layout.images_below(folder).values()]
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(_one, paths))
        print(f"{folder.name}: {_described(found)}")  # noqa: T201 -- what it is for
        if options.nih:
            print(f"{folder.name}: {_against_names(found)}")  # noqa: T201
    return 0


def _one(path: Path) -> Found:
    name, agreement = fingerprints.load().find(images.decode(path).pixels)
    return path.name, name, agreement


def _described(found: Sequence[Found]) -> str:
    hits = [each for each in found if each[2] >= fingerprints.SAME_FILM]
    misses = [agreement for _, _, agreement in found if agreement < fingerprints.SAME_FILM]
    least = f", the least by {min(agreement for *_, agreement in hits):.3f}" if hits else ""
    nearest = f"; the nearest other agrees by {max(misses):.3f}" if misses else ""
    return f"{len(hits)} of {len(found)} found{least}{nearest}"


def _against_names(found: Sequence[Found]) -> str:
    known = set(fingerprints.load().image_ids)
    rows = [(records.nih_names().get(file), name, agreement) for file, name, agreement in found]
    held = [(row.image_id, name, agreement) for row, name, agreement in rows if row and row.image_id in known]
    right = np.array([agreement >= fingerprints.SAME_FILM and name == own for own, name, agreement in held])
    others = np.array([agreement for row, _, agreement in rows if row is None or row.image_id not in known])
    false = others >= fingerprints.SAME_FILM
    least = min((agreement for *_, agreement in held), default=0.0)
    nearest = f"; of the others the nearest agrees by {others[~false].max():.3f}" if (~false).any() else ""
    return (
        f"{right.sum()} of {len(held)} films whose fingerprint is there found as themselves{_rate(right)}, "
        f"the least agreement {least:.3f}; {false.sum()} of {len(others)} others"
        f"{_rate(false)}, each against {len(known):,} films, found{nearest}"
    )


def _rate(hits: npt.NDArray[np.bool_]) -> str:
    return f" ({share(hits, groups=np.arange(len(hits))).percent(1)})" if len(hits) else ""


if __name__ == "__main__":
    run_command(main)
