"""Trains a classifier and evaluates it on the held-out test split.

Example: python -m cxr_keras3.train --backend jax --manual-dir ~/covid19-radiography-database
"""

import argparse
import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from tfds_cxr.tfds_cxr_dataset_builder import Builder


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
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it
    from tfds_cxr import database  # noqa: PLC0415

    run_dir = options.run_dir or artifact.RUNS / f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{config.backbone}"
    if options.manual_dir is not None:
        database.require_folder(options.manual_dir)
    if options.seeds < 1:
        raise UserError(f"--seeds must be at least 1, received {options.seeds}")
    run_dirs = [run_dir if options.seeds == 1 else run_dir / f"seed-{config.seed + n}" for n in range(options.seeds)]
    if all(map(artifact.is_complete, run_dirs)):
        artifact.require_unfinished(run_dirs[0])
    if not options.coordinator and (options.processes, options.process) != (1, 0):
        raise UserError("--processes and --process need --coordinator HOST:PORT, received none; add it to each process")
    together = None
    if options.coordinator:
        together = selection.Together(options.coordinator, options.processes, options.process)
    progress.say(f"starting Keras on {options.backend}")
    selection.select(options.backend, together)
    from cxr_keras3.backend import devices  # noqa: PLC0415 -- only now is the backend chosen
    from cxr_keras3.training import data  # noqa: PLC0415 -- only now is the backend chosen

    builder = data.prepare(data_dir=options.data_dir, manual_dir=options.manual_dir)
    try:
        results = [
            _run(dataclasses.replace(config, seed=config.seed + number), options, builder, folder)
            for number, folder in enumerate(run_dirs)
        ]
    except KeyboardInterrupt:
        progress.say(f"stopped; the same command with --run-dir {run_dir} goes on after the last finished epoch")
        raise
    if options.seeds > 1 and devices.is_chief():
        from cxr_keras3.training import history  # noqa: PLC0415

        progress.say(history.write_spread(run_dir, results))
    return 0


def _run(config: TrainingConfig, options: Options, builder: "Builder", run_dir: Path) -> dict[str, Any]:
    """One run from where it stands to its evaluation, whose figures it returns; none but process 0's are any."""
    import keras  # noqa: PLC0415 -- only now is the backend chosen

    from cxr_keras3.backend import devices  # noqa: PLC0415
    from cxr_keras3.run import artifact  # noqa: PLC0415
    from cxr_keras3.training import stages  # noqa: PLC0415

    started = dt.datetime.now(dt.UTC)
    keras.utils.set_random_seed(config.seed)  # an untrained backbone draws its weights from the global seed
    with stages.claimed(config, builder=builder, run_dir=run_dir):
        if artifact.is_complete(run_dir):
            return artifact.load_results(run_dir)
        if (run_dir / artifact.MANIFEST).exists():
            progress.say(f"{run_dir} is trained; going on with its export and evaluation")
        else:
            cache_dir = options.cache_dir or platformdirs.user_cache_path("cxr_keras3")
            stages.train(config, builder=builder, run_dir=run_dir, cache_dir=cache_dir)
        return finish(run_dir, builder, started=started) if devices.is_chief() else {}


def finish(run_dir: Path, builder: "Builder", *, started: dt.datetime) -> dict[str, Any]:
    """Makes a trained run ready to serve, evaluates it on the test split, and says where it is and how good.

    Args:
        run_dir: A folder with model, calibration and manifest.
        builder: The dataset that it was trained on.
        started: When the command began, in UTC.

    Returns:
        What `metrics.json` holds.
    """
    from cxr_keras3 import evaluation  # noqa: PLC0415 -- only now is the backend chosen
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- only now is the backend chosen
    from cxr_keras3.training import finishing  # noqa: PLC0415

    if artifact.load_manifest(run_dir).region == "full":
        finishing.finish_run(run_dir, builder)
    results = evaluation.evaluate(run_dir, builder, split="test", output_dir=run_dir / artifact.EVALUATION)
    progress.say(evaluation.describe(results))
    minutes = (dt.datetime.now(dt.UTC) - started).total_seconds() / 60
    progress.say(f"{minutes:.1f} minutes; run: {run_dir}; report: {run_dir / artifact.EVALUATION / artifact.REPORT}")
    return results


if __name__ == "__main__":
    run_command(main)
