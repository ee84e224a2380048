"""Training a run, or several that differ in their seed, and finishing each: export, gate, evaluation."""

import dataclasses
import datetime as dt
from pathlib import Path

import keras

from cxr_keras3.backend import devices
from cxr_keras3.base import progress
from cxr_keras3.evaluation import describe, evaluate
from cxr_keras3.run.filling import is_complete
from cxr_keras3.run.folder import EVALUATION, MANIFEST, REPORT, Run
from cxr_keras3.run.metrics import Metrics
from cxr_keras3.training import data, finishing, history, runs
from cxr_keras3.training.config import TrainingConfig
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def train(
    config: TrainingConfig, *, run_dirs: list[Path], data_dir: Path | None, manual_dir: Path | None, cache_dir: Path
) -> None:
    """Trains and finishes a run in each folder; goes on with what is there.

    Args:
        config: How to train the first; each after it has the next seed.
        run_dirs: A folder a run.
        data_dir: Folder of built datasets; TFDS's default when None.
        manual_dir: Folder with a copy of the database; None for a built dataset, or Kaggle.
        cache_dir: Keeps features of frozen layers for later runs.
    """
    place = run_dirs[0] if len(run_dirs) == 1 else run_dirs[0].parent
    builder = data.prepare(data_dir=data_dir, manual_dir=manual_dir)
    try:
        found = [
            _train_one(dataclasses.replace(config, seed=config.seed + number), builder, folder, cache_dir=cache_dir)
            for number, folder in enumerate(run_dirs)
        ]
    except KeyboardInterrupt:
        progress.say(f"stopped; the same command with --run-dir {place} goes on after the last finished epoch")
        raise
    if len(run_dirs) > 1 and devices.is_chief():
        progress.say(history.write_spread(place, [metrics for metrics in found if metrics]))


def _train_one(config: TrainingConfig, builder: Builder, run_dir: Path, *, cache_dir: Path) -> Metrics | None:
    """One run from where it stands to its evaluation; None in a process that is not the chief."""
    started = dt.datetime.now(dt.UTC)
    keras.utils.set_random_seed(config.seed)  # an untrained backbone draws its weights from the global seed
    with runs.claimed(config, builder=builder, run_dir=run_dir):
        if is_complete(run_dir):
            return Run.open(run_dir).metrics
        if (run_dir / MANIFEST).exists():
            progress.say(f"{run_dir} is trained; going on with its export and evaluation")
        else:
            runs.train(config, builder=builder, run_dir=run_dir, cache_dir=cache_dir)
        return finish(run_dir, builder, started=started) if devices.is_chief() else None


def finish(run_dir: Path, builder: Builder, *, started: dt.datetime) -> Metrics:
    """Makes a trained run ready to serve, evaluates it on the test split, and says where it is and how good.

    Args:
        run_dir: A folder with model, calibration and manifest.
        builder: The dataset that it was trained on.
        started: When the command began, in UTC.
    """
    finishing.finish(run_dir, builder)
    metrics = evaluate(Run.open(run_dir), builder, split="test", output_dir=run_dir / EVALUATION)
    progress.say(describe(metrics))
    minutes = (dt.datetime.now(dt.UTC) - started).total_seconds() / 60
    progress.say(f"{minutes:.1f} minutes; run: {run_dir}; report: {run_dir / EVALUATION / REPORT}")
    return metrics
