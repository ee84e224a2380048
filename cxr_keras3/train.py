"""Trains a classifier and evaluates it on the held-out test split.

Example: python -m cxr_keras3.train --backend jax --manual-dir ~/covid19-radiography-database
"""

import argparse
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import simple_parsing
from rich.console import Console
from rich.table import Table

from cxr_keras3 import _backend, progress
from cxr_keras3.backbone_table import BACKBONES
from cxr_keras3.config import TrainingConfig
from cxr_keras3.errors import UserError, run_command
from cxr_keras3.presets import PRESETS


@dataclass(frozen=True)
class Options:
    """Where data and results are, and what computes."""

    backend: _backend.Backend = "jax"
    """What Keras runs on."""
    data_dir: Path | None = None
    """Folder of built datasets; TFDS's default (~/tensorflow_datasets) when left out."""
    manual_dir: Path | None = None
    """Folder with a copy of the database; without one a built dataset is used, else Kaggle is asked."""
    run_dir: Path | None = None
    """Where the run goes; runs/<date>-<backbone> when left out."""


def parse(arguments: Sequence[str]) -> tuple[Options, TrainingConfig]:
    """Reads the command line: the preset first, whose values are the defaults of all other flags."""
    names = simple_parsing.ArgumentParser(add_help=False)
    names.add_argument("--preset", default="default")
    preset, _ = names.parse_known_args(arguments)
    if preset.preset not in PRESETS:
        raise UserError(f"--preset must be one of {', '.join(PRESETS)}; received {preset.preset!r}")
    parser = simple_parsing.ArgumentParser(
        prog="python -m cxr_keras3.train",
        description=__doc__,
        add_option_string_dash_variants=simple_parsing.DashVariant.DASH,
    )
    notes = "; ".join(f"{name}: {entry.note}" for name, entry in PRESETS.items())
    parser.add_argument(
        "--preset", default="default", metavar="NAME", help=f"named configuration to start from. {notes}"
    )
    parser.add_argument("--list-backbones", action=_ListBackbones)
    parser.add_arguments(Options, dest="options")
    parser.add_arguments(TrainingConfig, dest="config", default=PRESETS[preset.preset].config)
    parsed = parser.parse_args(arguments)
    return parsed.options, parsed.config


class _ListBackbones(argparse.Action):
    """Prints the table of backbones and ends, as --help does its text."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the table of backbones and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        table = Table("backbone", "provider", "parameters", "input range of the weights", "weights' licence")
        for name, row in BACKBONES.items():
            table.add_row(name, row.provider, f"{row.parameters:,}", row.input_range, row.weights_licence)
        Console().print(table)
        parser.exit()


def main(arguments: Sequence[str]) -> int:
    """Trains, evaluates, and says where the run is."""
    options, config = parse(arguments)
    from cxr_keras3 import artifact  # noqa: PLC0415 -- --help answers without it

    started = dt.datetime.now(dt.UTC)
    run_dir = options.run_dir or artifact.RUNS / f"{started:%Y%m%d-%H%M%S}-{config.backbone}"
    artifact.require_unfinished(run_dir)
    if options.manual_dir is not None and not options.manual_dir.is_dir():
        raise UserError(f"--manual-dir must be a folder with a copy of the database, received {options.manual_dir}")
    progress.say(f"starting Keras on {options.backend}")
    _backend.select(options.backend)
    import keras  # noqa: PLC0415 -- only now is the backend chosen

    from cxr_keras3 import data, evaluation, training  # noqa: PLC0415

    keras.utils.set_random_seed(config.seed)  # an untrained backbone draws its weights from the global seed
    builder = data.prepare(data_dir=options.data_dir, manual_dir=options.manual_dir)
    model = training.train(config, builder=builder, run_dir=run_dir)
    results = evaluation.evaluate(
        model,
        artifact.load_manifest(run_dir),
        builder,
        split="test",
        run_dir=run_dir,
        output_dir=run_dir / artifact.EVALUATION,
    )
    progress.say(evaluation.describe(results))
    minutes = (dt.datetime.now(dt.UTC) - started).total_seconds() / 60
    progress.say(f"{minutes:.1f} minutes; run: {run_dir}; report: {run_dir / artifact.EVALUATION / evaluation.REPORT}")
    return 0


if __name__ == "__main__":
    run_command(main)
