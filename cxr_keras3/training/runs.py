"""A run folder from a built dataset: the model trained and saved, and the folder held meanwhile."""

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras

from cxr_keras3.backend import devices
from cxr_keras3.base import progress
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.run import filling
from cxr_keras3.run.filling import require_unfinished
from cxr_keras3.run.folder import SEGMENTER
from cxr_keras3.training import data, folds, history, saving, stages
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.mixture import TRAINED, Mixture
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def train(config: TrainingConfig, *, builder: Builder, run_dir: Path, cache_dir: Path) -> None:
    """Trains a model and writes its run folder, all but export, gate and evaluation.

    The same call on the same folder goes on where an interrupted one stopped. Hold the folder by `claimed`.

    Args:
        config: How to train.
        builder: The built dataset, see `data.prepare`. Only its train and validation splits are read.
        run_dir: Where the run goes; made where missing.
        cache_dir: Where features of frozen layers are kept for later runs.

    Raises:
        UserError: Where the folder already holds a finished run, or the weights cannot be had.
    """
    require_unfinished(run_dir)
    mixture = Mixture.of(builder, config.collections)
    segmenter = Segmenter.open()
    showing = Showing(config.region, segmenter)
    train_split, validation_split = (mixture.load(s, showing=showing) for s in TRAINED)
    if devices.is_chief():
        run_dir.mkdir(parents=True, exist_ok=True)
        if config.region != "full":  # so that it is served with the lungs that it was trained on
            segmenter.copy(run_dir / SEGMENTER)
        if config.augment:
            history.write_contact_sheet(run_dir / history.CONTACT_SHEET, train_split, seed=config.seed)
    identity = mixture.identity
    if config.region != "full":
        identity["segmenter"] = segmenter.fingerprint
    places: dict[str, Any] = {"identity": identity, "run_dir": run_dir, "cache_dir": cache_dir}
    teaching = folds.teach(config, train_split, validation_split, **places) if config.folds else None
    model = stages.initial_model(config)
    targets = None if teaching is None else teaching.targets
    rows = stages.fit_stages(model, config, train_split, validation_split, targets=targets, **places)
    if teaching is not None:
        progress.say(teaching.agreement(model, validation_split))
    if devices.is_chief():
        history.write_history(run_dir, rows)
        used = dataclasses.asdict(config)
        if Path(config.weights).exists():
            used["weights"] = Path(config.weights).name  # where it lay is nobody's business who gets the model
        saving.save(
            model,
            run_dir,
            config=used,
            backend=keras.backend.backend(),
            described=mixture.description,
            validation=validation_split,
        )


def claimed(config: TrainingConfig, *, builder: Builder, run_dir: Path) -> AbstractContextManager[None]:
    """Holds a run folder from the first step of training to the end of its evaluation; see `run.filling.claimed`."""
    if not devices.is_chief():
        return nullcontext()
    return filling.claimed(
        run_dir,
        dataclasses.asdict(config)
        | {
            "backend": keras.backend.backend(),
            "listing_fingerprint": data.description(builder)["listing_fingerprint"],
        },
    )
