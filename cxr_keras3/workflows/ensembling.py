"""Joining runs that differ in their seed alone into one, whose logits are the mean of theirs."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.lungs.showing import Showing
from cxr_keras3.model import classifier
from cxr_keras3.run.filling import claimed
from cxr_keras3.run.folder import MANIFEST, Run
from cxr_keras3.run.manifest import MEMBERS
from cxr_keras3.training import saving
from cxr_keras3.training.mixture import Mixture
from cxr_keras3.workflows.training import finish
from tfds_cxr import reading
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def join(members: Sequence[Run], *, run_dir: Path, data_dir: Path | None) -> None:
    """Makes a run of the members' mean, and finishes it; goes on with what is there.

    Args:
        members: Two runs or more that `run.members.require_alike` passed.
        run_dir: Where the new run goes.
        data_dir: Folder of built datasets; TFDS's default when None.
    """
    started = dt.datetime.now(dt.UTC)
    builder = reading.find(data_dir)
    first = members[0].manifest
    settings = {
        **first.config,
        MEMBERS: [member.name for member in members],
        "seed": [member.manifest.config["seed"] for member in members],
    }
    with claimed(run_dir, {**settings, "listing_fingerprint": first.data["listing_fingerprint"]}):
        if not (run_dir / MANIFEST).exists():
            _save_mean(members, builder, run_dir=run_dir, settings=settings)
        finish(run_dir, builder, started=started)


def _save_mean(members: Sequence[Run], builder: Builder, *, run_dir: Path, settings: dict[str, object]) -> None:
    first = members[0]
    first.require_trained_on(builder)
    mixture = Mixture.of(builder, first.manifest.collections)
    saving.save(
        classifier.mean([member.load_model() for member in members]),
        run_dir,
        config=settings,
        backend=first.manifest.backend,
        described=mixture.description,
        validation=mixture.load("validation", showing=Showing.of(first)),
    )
