"""Scoring files for a person: a table on the terminal, or a file of results."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from cxr_keras3 import images
from cxr_keras3.base import progress
from cxr_keras3.base.batching import BATCH_SIZE
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import Prediction, Predictor, heat_maps, inputs, load
from cxr_keras3.serving.inputs import Decode, Input
from cxr_keras3.serving.results import Results, require_suffix

MAX_LISTED = 50
"""Refused files named on the terminal; the output names all."""

Refusal = tuple[str, str]
"""A file and why it was not scored."""


def predict(
    paths: Sequence[Path],
    *,
    run_dir: Path | None,
    output: Path | None,
    resume: bool,
    heat_map_folder: Path | None,
    runtime: str | None,
    site: Path | None,
) -> int:
    """Scores files and says what was found; returns the exit code, which tells whether some were refused.

    Args:
        paths: Files, folders and zip archives; "-" alone reads names from standard input.
        run_dir: The run; the reference model when None.
        output: The file of results; None for a table on the terminal.
        resume: Go on with the output of an interrupted command.
        heat_map_folder: Gets a picture of each scored film; None for none.
        runtime: See `cxr_keras3.serving.runtimes.load_runtime`.
        site: Profile of the hospital that the films come from; None where that is not known.
    """
    if output is not None:
        require_suffix(output)
    run = Run.open(run_dir, site=site)
    found = None if list(paths) == [Path("-")] else inputs.find(paths)
    films = inputs.listed(inputs.read_list(sys.stdin.buffer)) if found is None else found
    total = None if found is None else len(found)
    with _decoding(total) as decode:
        predictor = load(run, runtime=runtime, decode=decode)
        progress.say(f"model: {run.folder}, {predictor.description}")
        for notice in predictor.notices:
            progress.say(f"note: {notice}")
        return _predict(predictor, films, total=total, output=output, resume=resume, heat_map_folder=heat_map_folder)


@contextlib.contextmanager
def _decoding(films: int | None) -> Iterator[Decode]:
    """What decodes: processes where films are many, for the decoder of JPEG 2000 lets one thread work at a time."""
    if films is not None and films <= BATCH_SIZE:
        yield images.decode
        return
    with Decoders() as decoders:
        yield decoders.decode


def _predict(
    predictor: Predictor,
    films: Iterable[Input],
    *,
    total: int | None,
    output: Path | None,
    resume: bool,
    heat_map_folder: Path | None,
) -> int:
    run = predictor.run
    if output is None:
        predictions = list(_score(predictor, films, total=total, heat_map_folder=heat_map_folder))
        _show([prediction for prediction in predictions if prediction.accepted], class_names=run.class_names)
        refused = [(each.file, each.reject_reason) for each in predictions if not each.accepted]
        return _report(refused, len(predictions))
    with Results(output, class_names=run.class_names, model=run.name, resume=resume) as results:
        missing = (film for film in films if film.name not in results.done)
        done = len(results.done)
        for prediction in _score(predictor, missing, total=total, heat_map_folder=heat_map_folder, done=done):
            results.add(prediction)
    return _report(results.refused, len(results.done))


def _score(
    predictor: Predictor, films: Iterable[Input], *, total: int | None, heat_map_folder: Path | None, done: int = 0
) -> Iterator[Prediction]:
    """Scores with a progress bar, and draws the heat maps."""
    if heat_map_folder:
        heat_map_folder.mkdir(parents=True, exist_ok=True)
    with progress.bar() as shown:
        task = shown.add_task("scoring", total=total, completed=done)
        for prediction in predictor.predict(films, batch_size=1 if total == 1 else BATCH_SIZE):
            if heat_map_folder and prediction.accepted:
                heat_maps.save(prediction, heat_map_folder)
            yield prediction
            shown.advance(task)


def _show(accepted: Sequence[Prediction], *, class_names: Sequence[str]) -> None:
    """Prints a table, one row a film."""
    if not accepted:
        return
    flags = {True: "yes", False: "no", None: "not calibrated"}
    places = [Path(prediction.file).absolute() for prediction in accepted]
    folder = os.path.commonpath([place.parent for place in places])
    table = Table(caption=f"in {folder}", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    for name in ("file", "flag", "abnormal", "predicted", *class_names):
        table.add_column(name, overflow="fold")
    for place, prediction in zip(places, accepted, strict=True):
        chances = [f"{prediction.probabilities[name]:.3f}" for name in class_names]
        predicted = f"({prediction.predicted})" if prediction.withheld else prediction.predicted
        answer = (flags[prediction.flag], f"{prediction.abnormal_score:.3f}", predicted)
        table.add_row(str(place.relative_to(folder)), *answer, *chances)
    Console().print(table)
    for reason in dict.fromkeys(prediction.withheld for prediction in accepted if prediction.withheld):
        progress.say(f"in brackets: {reason}")


def _report(refused: Sequence[Refusal], count: int) -> int:
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
