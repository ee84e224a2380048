"""Makes one model of several runs that differ in their seed alone: its logits are the mean of theirs.

The outcome is a run like any other, calibrated, exported and evaluated on the held-out test split; it costs as many
forward passes as it has members.

Example: python -m cxr_keras3.ensemble runs/members/seed-* --run-dir runs/ensemble
"""

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_keras3 import train
from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.run import artifact

if TYPE_CHECKING:
    from tfds_cxr.tfds_cxr_dataset_builder import Builder


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
    parser.add_argument("--backend", choices=selection.BACKENDS, default="jax", help="what Keras runs on")
    options = parser.parse_args(arguments)
    started = dt.datetime.now(dt.UTC)
    manifests = [artifact.load_manifest(member) for member in options.members]
    _require_alike(options.members, manifests)
    if artifact.is_complete(options.run_dir):
        artifact.require_unfinished(options.run_dir)
    progress.say(f"starting Keras on {options.backend}")
    selection.select(options.backend)
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
            _join(options.members, manifests[0], builder, run_dir=options.run_dir, settings=settings)
        train.finish(options.run_dir, builder, started=started)
    return 0


def _require_alike(members: Sequence[Path], manifests: Sequence[artifact.Manifest]) -> None:
    """Refuses members whose mean would be of nothing, or would be judged on what one of them has learnt from.

    Raises:
        UserError: Where there are fewer than two, one is an ensemble, or they differ in more than their seed.
    """
    if len(members) < 2:
        raise UserError(f"an ensemble needs two runs or more, received {len(members)}; name more")
    first = manifests[0]
    for member, manifest in zip(members, manifests, strict=True):
        if artifact.MEMBERS in manifest.config:
            raise UserError(f"a member must be one model, {member} is an ensemble; name its members")
        if manifest.data["listing_fingerprint"] != first.data["listing_fingerprint"]:
            raise UserError(
                f"members must have learnt from the same dataset, {member} and {members[0]} have not; name others"
            )
        if manifest.backend != first.backend:
            raise UserError(
                f"members must be trained on one backend, {members[0]} was on {first.backend}, {member} on "
                f"{manifest.backend}; name others"
            )
        for key in sorted(first.config.keys() | manifest.config.keys()):
            ours, theirs = first.config.get(key), manifest.config.get(key)
            if key != "seed" and ours != theirs:
                raise UserError(
                    f"members must differ in their seed alone, {key} is {ours} in {members[0]} and {theirs} in "
                    f"{member}; name others"
                )


def _join(
    members: Sequence[Path], first: artifact.Manifest, builder: "Builder", *, run_dir: Path, settings: dict[str, object]
) -> None:
    from cxr_keras3.model import classifier  # noqa: PLC0415 -- only now is the backend chosen
    from cxr_keras3.training import data, saving  # noqa: PLC0415 -- only now is the backend chosen

    first.require_trained_on(builder)
    saving.save(
        classifier.mean([artifact.load_model(member) for member in members]),
        run_dir,
        config=settings,
        backend=first.backend,
        described=data.description(builder),
        validation=data.load(builder, "validation", region=first.region),
    )


if __name__ == "__main__":
    run_command(main)
