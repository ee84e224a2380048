"""Error rates of a run's gate: chest films accepted; turned, inverted and other images refused.

    python -m checks.gate RUN [--data-dir D] [--chest FOLDER …] [--other FOLDER …]

The test split of the run's dataset is scored as it is, mirrored, turned and inverted; folders as `predict` scores them,
hidden files and such as are no images left out. Each row must reach its bound: `ACCEPTED` of chest films, `REFUSED` of
what is none. The exit code is 1 where one does not.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cxr_keras3 import serving
from cxr_keras3.serving import inputs
from cxr_keras3.serving.inputs import Input
from tfds_cxr import reading

ACCEPTED, REFUSED = 0.97, 0.95  # the bounds of ADR 16
CHEST = {"as it is": lambda film: film, "mirrored": lambda film: film[:, ::-1]}
NO_CHEST = {
    "turned by 90 degrees": lambda film: np.rot90(film, 1),
    "turned by 180 degrees": lambda film: np.rot90(film, 2),
    "turned by 270 degrees": lambda film: np.rot90(film, 3),
    "inverted": lambda film: 255 - film,
}


def holds(predictor: serving.Predictor, name: str, items: Iterable[Input | np.ndarray], *, chest: bool) -> bool:
    """Prints one line of the table: the shares accepted and refused of what could be read; says if the bound holds."""
    accepted = refused = 0
    for prediction in predictor.predict(items):
        if prediction.image is not None:
            accepted += prediction.accepted
            refused += not prediction.accepted
    count = accepted + refused
    if not count:
        sys.exit(f"{name} must hold images that can be read, and holds none; name another folder")
    held = accepted / count >= ACCEPTED if chest else refused / count >= REFUSED
    bound = f"accepted ≥ {ACCEPTED:.0%}" if chest else f"refused ≥ {REFUSED:.0%}"
    verdict = "held" if held else "fell"
    print(f"| {name} | {count} | {accepted / count:.1%} | {refused / count:.1%} | {bound}: {verdict} |", flush=True)
    return held


def main() -> int:
    """Prints the table and what held; returns 1 where a bound fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--chest", nargs="*", default=[], type=Path, metavar="FOLDER", help="of chest films")
    parser.add_argument("--other", nargs="*", default=[], type=Path, metavar="FOLDER", help="of other images")
    options = parser.parse_args()
    predictor = serving.load(options.run)
    split = reading.read(reading.find(options.data_dir), "test", encoded=("mask",))
    films = [np.asarray(example["image"])[..., 0] for example in split]
    print("| images | number | accepted | refused | bound |\n|---|---|---|---|---|")
    changes = [(name, change, True) for name, change in CHEST.items()]
    changes += [(name, change, False) for name, change in NO_CHEST.items()]
    held = [
        holds(predictor, f"test split, {name}", (np.ascontiguousarray(change(film)) for film in films), chest=chest)
        for name, change, chest in changes
    ]
    held += [holds(predictor, folder.name, inputs.find([folder]), chest=True) for folder in options.chest]
    held += [holds(predictor, folder.name, inputs.find([folder]), chest=False) for folder in options.other]
    print(f"{'held' if all(held) else 'fell'}: {sum(held)} of {len(held)} bounds")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
