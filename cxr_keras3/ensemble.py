"""Makes one model of several runs that differ in their seed: its logits are the mean of theirs.

The outcome is a run like any other, calibrated, exported and evaluated on the held-out test split; it costs as many
forward passes as it has members.

Example: python -m cxr_keras3.ensemble runs/members/seed-* --run-dir runs/ensemble
"""

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cxr_keras3 import _backend, artifact, progress, train
from cxr_keras3.errors import UserError, run_command

if TYPE_CHECKING:
    from tfds_cxr.tfds_cxr_dataset_builder import Builder

ALIKE = ("backbone", "image_size", "region")
"""Settings that members must share."""


def main(arguments: Sequence[str]) -> int:
    """Joins the members, evaluates the outcome, and says where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("members", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    parser.add_argument("--run-dir", type=Path, required=True, help="where the new run goes")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--backend", choices=get_args(_backend.Backend), default="jax", help="what Keras runs on")
    options = parser.parse_args(arguments)
    started = dt.datetime.now(dt.UTC)
    manifests = [artifact.load_manifest(member) for member in options.members]
    _require_alike(options.members, manifests)
    if artifact.is_complete(options.run_dir):
        artifact.require_unfinished(options.run_dir)
    progress.say(f"starting Keras on {options.backend}")
    _backend.select(options.backend)
    from tfds_cxr import reading  # noqa: PLC0415 -- only now is the backend chosen

    builder = reading.find(options.data_dir)
    settings = {
        **manifests[0].config,
        artifact.MEMBERS: [manifest.name for manifest in manifests],
        "seed": [manifest.config["seed"] for manifest in manifests],
    }
    fingerprint = manifests[0].data["listing_fingerprint"]
    with artifact.claimed(options.run_dir, {**settings, "listing_fingerprint": fingerprint}):
        if not (options.run_dir / artifact.MANIFEST).exists():
            _join(options.members, builder, options.run_dir, settings)
    train.finish(options.run_dir, builder, started=started)
    return 0


def _require_alike(members: Sequence[Path], manifests: Sequence[artifact.Manifest]) -> None:
    """Refuses members whose mean would be of nothing, or would be judged on what one of them has learnt from.

    Raises:
        UserError: Where there are fewer than two, one is an ensemble, or they differ in more than they may.
    """
    if len(members) < 2:
        raise UserError(f"an ensemble needs two runs or more, received {len(members)}")
    first = manifests[0]
    for member, manifest in zip(members, manifests, strict=True):
        if artifact.MEMBERS in manifest.config:
            raise UserError(f"a member must be one model, {member} is an ensemble; name its members")
        if manifest.data["listing_fingerprint"] != first.data["listing_fingerprint"]:
            raise UserError(f"members must have learnt from the same dataset, {member} and {members[0]} have not")
        for key in ALIKE:
            if manifest.config[key] != first.config[key]:
                raise UserError(
                    f"members must have one {key}, {members[0]} has {first.config[key]}, {member} has "
                    f"{manifest.config[key]}"
                )


def _join(members: Sequence[Path], builder: "Builder", run_dir: Path, settings: dict[str, object]) -> None:
    from cxr_keras3 import classifier, data, training  # noqa: PLC0415 -- only now is the backend chosen

    described = data.description(builder)
    if described["listing_fingerprint"] != artifact.load_manifest(members[0]).data["listing_fingerprint"]:
        raise UserError(
            f"an ensemble is calibrated on the dataset that its members have learnt from, {builder.data_path} was "
            "built from other files; pass the --data-dir used in training"
        )
    model = classifier.mean([artifact.load_model(member) for member in members])
    region = artifact.load_manifest(members[0]).region
    validation = data.load(builder, "validation", region=region)
    training.save(model, run_dir, config=settings, described=described, validation=validation)


if __name__ == "__main__":
    run_command(main)
