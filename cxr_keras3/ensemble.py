"""Makes one model of several runs that differ in their seed alone: its logits are the mean of theirs.

The outcome is a run like any other, calibrated, exported and evaluated on the held-out test split; it costs as many
forward passes as it has members.

Example: python -m cxr_keras3.ensemble runs/members/seed-* --run-dir runs/ensemble
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import run_command


def main(arguments: Sequence[str]) -> int:
    """Joins the members, evaluates the outcome, and says where it is."""
    options = _parse(arguments)
    from cxr_keras3.run.filling import is_complete, require_unfinished
    from cxr_keras3.run.folder import Run
    from cxr_keras3.run.members import require_alike

    members = [Run.open(folder) for folder in options.members]
    require_alike(members)
    if is_complete(options.run_dir):
        require_unfinished(options.run_dir)
    progress.say(f"starting Keras on {options.backend}")
    selection.select(options.backend)
    from cxr_keras3.workflows.ensembling import join

    join(members, run_dir=options.run_dir, data_dir=options.data_dir)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("members", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    parser.add_argument("--run-dir", type=Path, required=True, help="where the new run goes")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--backend", choices=selection.BACKENDS, default="jax", help="what Keras runs on")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
