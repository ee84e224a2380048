"""Outlines the lungs of films; trains and judges what does.

Not a medical device: for research only.

Examples:
  python -m cxr_keras3.segment apply film.png study.dcm --output outlines
  python -m cxr_keras3.segment train runs/lungs --data-dir ~/tensorflow_datasets
  python -m cxr_keras3.segment evaluate runs/lungs --folder films_with_masks --output judged
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command


def main(arguments: Sequence[str]) -> int:
    """Does what the first argument names; returns 3 where some of several films could not be outlined."""
    options = _parse(arguments)
    if options.action == "train":
        if (options.folder / "manifest.json").exists():
            raise UserError(f"FOLDER must hold no segmenter yet, {options.folder} does; delete it, or name another")
        progress.say(f"starting Keras on {options.backend}")
        selection.select(options.backend)
        from cxr_keras3.workflows.segmenter_training import train

        train(
            options.folder,
            data_dir=options.data_dir,
            weights=options.weights,
            epochs=options.epochs,
            seed=options.seed,
            teacher=options.teacher,
        )
        return 0
    from cxr_keras3.workflows import segmenting

    if options.action == "evaluate":
        segmenting.evaluate(
            options.folder, split=options.split, data_dir=options.data_dir, pairs=options.pairs, output=options.output
        )
        return 0
    return segmenting.apply(options.inputs, segmenter_dir=options.model, output=options.output)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.segment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    data_dir = argparse.ArgumentParser(add_help=False)
    data_dir.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")

    train = actions.add_parser("train", parents=[data_dir], help="train on the dataset's lung masks")
    train.add_argument("folder", type=Path, metavar="FOLDER", help="where the segmenter goes")
    train.add_argument("--backend", choices=selection.BACKENDS, default="jax", help="what Keras runs on")
    train.add_argument("--weights", default="imagenet", help="as cxr_keras3.train takes it, of mobilenet_025")
    train.add_argument("--epochs", type=int, default=60)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--teacher",
        type=Path,
        metavar="FOLDER",
        help="a segmenter whose sure outlines of clear films are learnt from, too",
    )

    evaluate = actions.add_parser("evaluate", parents=[data_dir], help="compare outlines with those that people drew")
    evaluate.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="segmenter; the one of the package when left out"
    )
    evaluate.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the dataset")
    evaluate.add_argument(
        "--pairs", type=Path, metavar="DIR", help="images/NAME.png and masks/NAME.png, in place of the dataset"
    )
    evaluate.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets agreement.json and worst.png")

    apply = actions.add_parser("apply", help="outline films")
    apply.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="image file, folder, or zip archive")
    apply.add_argument("--model", type=Path, metavar="FOLDER", help="segmenter; the one of the package when left out")
    apply.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets a mask and a picture of each film, and lungs.csv",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
