"""Measures what a run is worth at one hospital, from 100 to 500 of its films, and writes a site profile.

predict, demo, pacs and score take the profile by --site. Not a medical device: for research only.

Example: python -m cxr_keras3.commission runs/first films --output sites/north
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import run_command


def main(arguments: Sequence[str]) -> int:
    """Commissions a site."""
    options = _parse(arguments)
    from cxr_keras3.workflows.commissioning import commission

    return commission(
        options.run,
        options.films,
        labels=options.labels,
        output=options.output,
        sensitivity=options.sensitivity,
        runtime=options.runtime,
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.commission",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help='run folder; "reference" for the model that comes with the package')
    add("films", nargs="+", type=Path, metavar="FILMS", help="image files, folders, zip archives of one site")
    add("--labels", type=Path, metavar="CSV", help="columns path (from its own folder) and label, of some or all films")
    add("--output", type=Path, required=True, metavar="SITE", help="folder for the profile; its name is the site's")
    add("--sensitivity", type=float, help="share of abnormal films to flag, where labels set the threshold")
    add("--runtime", choices=selection.RUNTIMES, help="as in cxr predict")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
