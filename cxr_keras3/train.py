"""Trains a classifier and evaluates it on the held-out test split.

Example: python -m cxr_keras3.train --backend jax --manual-dir ~/covid19-radiography-database
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import simple_parsing
from rich.console import Console
from rich.table import Table

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.model.backbone_table import BACKBONES
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.presets import PRESETS


@dataclass(frozen=True)
class Options:
    """Where data and results are, and what computes."""

    backend: selection.Backend = "jax"
    """What Keras runs on."""
    data_dir: Path | None = None
    """Folder of built datasets; TFDS's default (~/tensorflow_datasets) when left out."""
    manual_dir: Path | None = None
    """Folder with a copy of the database; without one a built dataset is used, else Kaggle is asked."""
    run_dir: Path | None = None
    """Where the run goes; runs/<date>-<backbone> when left out. An interrupted run there goes on."""
    cache_dir: Path | None = None
    """Keeps features of frozen layers for later runs, the user's cache folder when left out; never emptied."""
    seeds: int = 1
    """Runs with so many seeds, --seed and those after it, each in a folder of its own; mean and spread at the end."""
    coordinator: str = ""
    """Address and port of process 0, such as 10.0.0.1:1234, where several processes train one model (JAX); auto asks
    SLURM, Open MPI or the TPU pod for it and for the two numbers below."""
    processes: int = 1
    """How many processes train together."""
    process: int = 0
    """The number of this process; 0 writes the run."""


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
    from cxr_keras3.training.claims import run_folders

    run_dirs = run_folders(options.run_dir, config, seeds=options.seeds, manual_dir=options.manual_dir)
    progress.say(f"starting Keras on {options.backend}")
    selection.select(options.backend, _together(options))
    _say_what_it_takes(config)
    from cxr_keras3.workflows.training import train

    train(
        config,
        run_dirs=run_dirs,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        cache_dir=options.cache_dir or platformdirs.user_cache_path("cxr_keras3"),
    )
    return 0


def _say_what_it_takes(config: TrainingConfig) -> None:
    """Names the preset that a machine without accelerator can afford, where another is about to be trained there."""
    from cxr_keras3.backend import devices

    if config.backbone == PRESETS["default"].config.backbone and not devices.on_accelerator():
        progress.say(
            f"note: no GPU or TPU: {config.backbone} takes 0.13 s of a core for each view of an image, more than an "
            "hour for the whole database on two cores; --preset laptop, of a small network, takes minutes"
        )


def _together(options: Options) -> selection.Together | None:
    """The processes that train one model, where several do."""
    if options.coordinator:
        return selection.Together(options.coordinator, options.processes, options.process)
    if (options.processes, options.process) != (1, 0):
        raise UserError("--processes and --process need --coordinator HOST:PORT, received none; add it to each process")
    return None


if __name__ == "__main__":
    run_command(main)
