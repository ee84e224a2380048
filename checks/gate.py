"""Error rates of a run's gate: chest films accepted; turned, inverted and other images refused.

    python -m checks.gate RUN [--data-dir D] [--chest FOLDER …] [--other FOLDER …]

The test split of the run's dataset is scored as it is, turned and inverted; folders as `predict` scores them, hidden
files and such as are no images left out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cxr_keras3 import serving
from cxr_keras3.serving import inputs
from cxr_keras3.serving.inputs import Input
from tfds_cxr import reading

VARIANTS = {
    "as it is": lambda film: film,
    "turned by 90 degrees": lambda film: np.rot90(film, 1),
    "turned by 180 degrees": lambda film: np.rot90(film, 2),
    "turned by 270 degrees": lambda film: np.rot90(film, 3),
    "inverted": lambda film: 255 - film,
    "mirrored": lambda film: film[:, ::-1],
}


def row(predictor: serving.Predictor, name: str, items: Iterable[Input | np.ndarray]) -> str:
    """One line of the table: how many were accepted and refused of those that could be read."""
    accepted = refused = 0
    for prediction in predictor.predict(items):
        if prediction.image is not None:
            accepted += prediction.accepted
            refused += not prediction.accepted
    count = accepted + refused
    return f"| {name} | {count} | {accepted / count:.1%} | {refused / count:.1%} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--chest", nargs="*", default=[], type=Path, metavar="FOLDER", help="of chest films")
    parser.add_argument("--other", nargs="*", default=[], type=Path, metavar="FOLDER", help="of other images")
    options = parser.parse_args()
    predictor = serving.load(options.run)
    split = reading.read(reading.find(options.data_dir), "test", encoded=("mask",))
    films = [np.asarray(example["image"])[..., 0] for example in split]
    print("| images | number | accepted | refused |\n|---|---|---|---|")
    for name, change in VARIANTS.items():
        print(row(predictor, f"test split, {name}", (np.ascontiguousarray(change(film)) for film in films)), flush=True)
    for folder in (*options.chest, *options.other):
        print(row(predictor, folder.name, inputs.find([folder])), flush=True)


if __name__ == "__main__":
    main()
