"""Pushes a run to the Hugging Face hub, with what it needs to answer and nothing else.

Model, calibration, gate, export to OpenVINO, model card and figures go; predictions, history, settings, checkpoints,
feedback and films do not. A new repository is private. The login is that of the hub's own command, hf auth login.
Every command takes hf://OWNER/NAME for a RUN. Not a medical device: for research only.

Example: python -m cxr_keras3.push runs/first hf://owner/first
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import run_command


def main(arguments: Sequence[str]) -> int:
    """Pushes, and says by which name the run is used from now on."""
    options = _parse(arguments)
    from cxr_keras3.run import hub
    from cxr_keras3.run.folder import Run

    progress.say(f"pushed: {hub.push(Run.open(options.run), hub.Handle.parse(options.to))}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.push", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder")
    parser.add_argument("to", metavar="hf://OWNER/NAME", help="the repository, made where it is missing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
