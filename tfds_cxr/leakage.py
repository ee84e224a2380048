"""How many test images have their patient in training too, by the recovered patients.

Examples:
    python -m tfds_cxr.leakage --train train.txt --test test.txt
    python -m tfds_cxr.leakage --shares 80 20 --repeats 100
    python -m tfds_cxr.leakage --shares 70 15 15 --stratified --seed 42
    python -m tfds_cxr.leakage --official

It works on file names alone, so no image is needed. An image of unknown patient counts as not leaked, so every
figure is a lower bound.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError, run_command

Row = Mapping[str, str | float]


def main(arguments: Sequence[str]) -> int:
    """The command `python -m tfds_cxr.leakage`."""
    options = _parser().parse_args(arguments)
    if options.output and options.output.suffix not in (".csv", ".json"):
        raise UserError(f"--output must end in .csv or .json, received {options.output}")
    from tfds_cxr import leaks

    if options.official:
        split = leaks.official_split()
        _print("Official split, by names alone", leaks.describe(split))
        found = leaks.measure(split["train"] + split["validation"], split["test"])
        title = "Test images of the official split whose patient or group is in train or validation"
    elif options.shares:
        if len(options.shares) not in (2, 3) or sum(options.shares) != 100 or min(options.shares) < 1:
            raise UserError(
                f"--shares must be two or three whole per cents that add up to 100, received {options.shares}; "
                "pass for example --shares 80 20"
            )
        if options.repeats < 1:
            raise UserError(f"--repeats must be at least 1, received {options.repeats}")
        found = leaks.random_leak(
            options.shares, seed=options.seed, repeats=options.repeats, stratified=options.stratified
        )
        kind = "stratified" if options.stratified else "random"
        title = f"{kind} split {'/'.join(map(str, options.shares))}, mean of {options.repeats}, seed {options.seed}"
    elif options.train and options.test:
        found = leaks.measure(leaks.listed(options.train), leaks.listed(options.test))
        title = f"test images in {options.test.name} whose patient or group is in {options.train.name}"
    else:
        raise UserError("a split must be given, received none; pass --train with --test, or --shares, or --official")
    rows = [
        {key: round(value, 1) if isinstance(value, float) else value for key, value in asdict(leak).items()}
        | {"share": round(leak.share, 3)}
        for leak in found
    ]
    _print(title, rows)
    if options.output:
        _write(options.output, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfds_cxr.leakage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", type=Path, help="list of training files, a name a line or a CSV's first column")
    parser.add_argument("--test", type=Path, help="list of test files")
    parser.add_argument("--shares", type=int, nargs="+", metavar="PERCENT", help="random split: 80 20, or 70 15 15")
    parser.add_argument("--stratified", action="store_true", help="split every class in these shares")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first random split (default: 0)")
    parser.add_argument("--repeats", type=int, default=20, help="random splits that are averaged (default: 20)")
    parser.add_argument("--official", action="store_true", help="the split of the dataset, with its counts")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table to a .csv or .json file too")
    return parser


def _print(title: str, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(_shown(name, value) for name, value in row.items()))
    Console().print(table)


def _shown(name: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.1%}" if name == "share" else f"{value:,.0f}"


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        files.write_json(path, rows)
        return
    with files.replacing(path) as target, target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_command(main)
