"""Scores chest X-ray files: is it a frontal chest film, a probability for each class, how abnormal it looks.

Not a medical device: for research only.

Example: python -m cxr_keras3.predict --model runs/first film.png folder archive.zip --output results.csv
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError, run_command

if TYPE_CHECKING:  # --help answers without them
    from cxr_keras3.serving import Prediction, Predictor
    from cxr_keras3.serving.inputs import Source

MAX_LISTED = 50  # refused files named on the terminal; the output names all


def main(arguments: Sequence[str]) -> int:
    """Scores the files named; returns 3 where some of several could not be scored."""
    options = _parse(arguments)
    from cxr_keras3 import serving  # noqa: PLC0415 -- --help answers without it
    from cxr_keras3.run import artifact  # noqa: PLC0415 -- --help answers without it
    from cxr_keras3.serving import inputs, results  # noqa: PLC0415

    if options.output and options.output.suffix not in results.SUFFIXES:
        raise UserError(f"--output must end in {', '.join(results.SUFFIXES)}, received {options.output}")
    run_dir = options.model or artifact.REFERENCE
    artifact.load_manifest(run_dir)
    found = None if options.inputs == [Path("-")] else inputs.sources(options.inputs)
    predictor = serving.load(run_dir, runtime=options.runtime)
    progress.say(f"model: {run_dir}, {predictor.description}")
    for notice in predictor.notices:
        progress.say(f"note: {notice}")
    to_do = inputs.listed(sys.stdin) if found is None else found
    total = None if found is None else len(found)
    if options.output is None:
        records = [
            prediction.record() for prediction in _score(predictor, to_do, total=total, heat_maps=options.heat_maps)
        ]
        _show(records, class_names=predictor.manifest.class_names)
        refused = [(record["file"], record["reject_reason"]) for record in records if not record["accepted"]]
        count = len(records)
    else:
        refused, count = _write(predictor, to_do, total=total, options=options)
    return _report(refused, count)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="image file, folder of them, or zip archive; - alone reads file names from standard input, one a line",
    )
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--output", type=Path, help="write to this .csv, .jsonl or .parquet file rather than to the terminal")
    add("--resume", action="store_true", help="go on with an --output that an interrupted command left")
    add("--heat-maps", type=Path, metavar="DIR", help="write a picture of where each prediction comes from")
    add(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; openvino where RUN is exported to it, else Keras on $KERAS_BACKEND or jax",
    )
    options = parser.parse_args(arguments)
    if options.resume and not options.output:
        raise UserError("--resume needs the --output to go on with")
    if Path("-") in options.inputs and len(options.inputs) > 1:
        raise UserError("- must be the only input, received others too; put all file names into the list")
    return options


def _score(
    predictor: "Predictor",
    to_do: Iterable["Source"],
    *,
    total: int | None,
    heat_maps: Path | None,
    done: int = 0,
) -> Iterator["Prediction"]:
    """Scores with a progress bar, and draws the heat maps."""
    from cxr_keras3.serving import heat_maps as drawing  # noqa: PLC0415 -- --help answers without it
    from cxr_keras3.serving.runtimes import BATCH_SIZE  # noqa: PLC0415

    if heat_maps:
        heat_maps.mkdir(parents=True, exist_ok=True)
    with progress.bar() as shown:
        task = shown.add_task("scoring", total=total, completed=done)
        for prediction in predictor.predict(to_do, batch_size=1 if total == 1 else BATCH_SIZE):
            if heat_maps and prediction.accepted:
                drawing.save(prediction, heat_maps)
            yield prediction
            shown.advance(task)


def _write(
    predictor: "Predictor", to_do: Iterable["Source"], *, total: int | None, options: argparse.Namespace
) -> tuple[list[tuple[str, str]], int]:
    """Writes the rows that the output lacks; returns the refused files with their reasons, and the number of rows."""
    from cxr_keras3.serving.results import Results  # noqa: PLC0415 -- --help answers without it

    manifest = predictor.manifest
    with Results(
        options.output, class_names=manifest.class_names, model=manifest.name, resume=options.resume
    ) as results:
        missing = (source for source in to_do if source.name not in results.done)
        done = len(results.done)
        for prediction in _score(predictor, missing, total=total, heat_maps=options.heat_maps, done=done):
            results.add(prediction)
        return results.refused, len(results.done)


def _show(records: Sequence[dict[str, Any]], *, class_names: Sequence[str]) -> None:
    """Prints a table, one row a film."""
    from rich import box  # noqa: PLC0415 -- the table is not always printed
    from rich.console import Console  # noqa: PLC0415 -- the table is not always printed
    from rich.table import Table  # noqa: PLC0415

    flags = {True: "yes", False: "no", None: "not calibrated"}
    accepted = [record for record in records if record["accepted"]]
    if not accepted:
        return
    places = [Path(record["file"]).absolute() for record in accepted]
    folder = os.path.commonpath([place.parent for place in places])
    table = Table(caption=f"in {folder}", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    table.add_column("file", overflow="fold")
    for name in (*class_names, "label", "abnormal", "flag"):
        table.add_column(name, overflow="fold")
    for place, record in zip(places, accepted, strict=True):
        values = [f"{record['probabilities'][name]:.3f}" for name in class_names]
        label, score = record["label"], f"{record['abnormal_score']:.3f}"
        table.add_row(str(place.relative_to(folder)), *values, label, score, flags[record["flag"]])
    Console().print(table)


def _report(refused: Sequence[tuple[str, str]], count: int) -> int:
    """Names what was refused, and gives the exit code."""
    if count == 0:
        raise UserError("there must be at least one file to score, the list named none")
    if count == 1 and refused:  # nothing else was asked for
        raise UserError("no file could be scored: {}: {}".format(*refused[0]))
    for file, reason in refused[:MAX_LISTED]:
        progress.say(f"not scored: {file}: {reason}")
    if len(refused) > MAX_LISTED:
        progress.say(f"not scored: {len(refused) - MAX_LISTED} more, which the output names")
    progress.say(f"scored: {count - len(refused)} of {count}")
    return SOME_FILES_REFUSED_EXIT_CODE if refused else 0


if __name__ == "__main__":
    run_command(main)
