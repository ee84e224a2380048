"""Draws a synthetic database of chest X-rays in the layout of the published one."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr.phantom.database import contact_sheet, write_database
from tfds_cxr.phantom.exposure import SHORTCUTS


def main(arguments: Sequence[str]) -> int:
    """The command `python -m tfds_cxr.phantom`."""
    parser = argparse.ArgumentParser(
        prog="python -m tfds_cxr.phantom", description="Draws a synthetic database of chest X-rays."
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("out", nargs="?", type=Path, help="folder that receives the database")
    target.add_argument("--contact-sheet", type=Path, metavar="PNG", help="draw one picture of them all instead")
    parser.add_argument("--per-class", type=int, default=6, help="images of each class (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the database (default: 0)")
    parser.add_argument("--shortcut", choices=SHORTCUTS, help="plant a clue outside the lungs")
    options = parser.parse_args(arguments)
    if options.contact_sheet is None:
        write_database(
            options.out,
            per_class=options.per_class,
            seed=options.seed,
            shortcut=options.shortcut,
            progress=True,
        )
        return 0
    if options.shortcut is not None:
        raise UserError("a contact sheet shows phantoms without a clue; leave --shortcut out")
    options.contact_sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(options.per_class, options.seed).save(options.contact_sheet, "PNG", optimize=True)
    return 0


if __name__ == "__main__":
    run_command(main)
