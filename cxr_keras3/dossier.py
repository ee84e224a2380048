"""Writes what a run's own files say to regulators' and journals' questions, and names what they do not say.

One page: model facts, the EU AI Act's Annex IV 2 (b) to (e), CLAIM 2024, STARD-AI and TRIPOD+AI. Each statement names
the file that it rests on; where files contradict one another, what rests on them is withdrawn. Not a medical device.

Example: python -m cxr_keras3.dossier runs/first
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import run_command


def main(arguments: Sequence[str]) -> int:
    """Writes the page, and says where it is and how much of it is answered."""
    options = _parse(arguments)
    from cxr_keras3.report import dossier
    from cxr_keras3.run.folder import EVALUATION, Run

    run = Run.open(options.run)
    output = options.output or run.results_folder / EVALUATION / dossier.DOSSIER
    output.parent.mkdir(parents=True, exist_ok=True)
    counts = dossier.write_dossier(output, run)
    progress.say(", ".join(f"{count} {dossier.STATES[state]}" for state, count in counts.items() if count))
    progress.say(f"dossier: {output}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.dossier",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", nargs="?", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--output", type=Path, metavar="FILE", help="the page; evaluation/dossier.html in RUN, or runs/reference")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
