"""Outlining the lungs of films for a person, and judging a segmenter on outlines that people drew."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from cxr_keras3 import images
from cxr_keras3.base import files, progress, records
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError
from cxr_keras3.base.tables import harmless
from cxr_keras3.lungs import anatomy, data, judging, pictures
from cxr_keras3.lungs.segmenter import AGREEMENT, Segmenter
from cxr_keras3.serving import inputs
from cxr_keras3.serving.inputs import Input
from tfds_cxr import reading

WORST = "worst.png"
SCORES = "scores.csv"
TABLE = "lungs.csv"
_WORST_SHOWN = 20
_AHEAD = 8


def evaluate(folder: Path | None, *, split: str, data_dir: Path | None, pairs: Path | None, output: Path) -> None:
    """Judges a segmenter, prints the figures, and draws the films that it does worst on.

    Args:
        folder: The segmenter's; None for that of the package.
        split: Of the dataset, where `pairs` is None.
        data_dir: Folder of built datasets; TFDS's default when None.
        pairs: Folder of films with masks.
        output: Folder for the results.
    """
    segmenter = Segmenter.open(folder)
    films = data.of_folder(pairs) if pairs else data.of_split(reading.find(data_dir), split)
    scores, found = judging.score(lambda batch: segmenter.outline(batch, task="outlining"), films)
    judged = judging.Judged(
        schema_version=judging.SCHEMA_VERSION,
        segmenter=segmenter.fingerprint,
        films="a folder of pairs" if pairs else f"{split} split",
        parts=judging.agreement(scores, films),
        measures=judging.measure_errors(found, films),
    )
    output.mkdir(parents=True, exist_ok=True)
    records.write(output / AGREEMENT, judged)
    _write_scores(output / SCORES, scores, films)
    worst = np.argsort(scores.dice)[:_WORST_SHOWN]
    shown = [
        (f"Dice {scores.dice[index]:.3f}  {films.names[index]}", films.images[index], found[index], films.lungs[index])
        for index in worst
    ]
    drawn = [(words, pictures.draw_with_truth(film[..., 0], lungs, truth)) for words, film, lungs, truth in shown]
    with files.replacing(output / WORST) as written:
        pictures.sheet(drawn).save(written)
    _show(judged)
    progress.say(f"figures: {output / AGREEMENT}   each film: {output / SCORES}   the worst: {output / WORST}")


def _write_scores(path: Path, scores: judging.Scores, films: data.Outlined) -> None:
    """A row a film, in the films' order."""
    names = zip(films.names, films.sources, films.classes, strict=True)
    figures = np.stack([scores.dice, scores.surface_distance, scores.dice_half_white], axis=1)
    with files.replacing(path) as written, written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("film", "source", "class", "dice", "surface_distance", "dice_half_white"))
        writer.writerows((*film, *np.round(row, 4)) for film, row in zip(names, figures, strict=True))


def _show(judged: judging.Judged) -> None:
    table = Table("films", "number", "Dice", "surface distance", "lost half white", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, part in judged.parts.items():
        table.add_row(
            name, str(part.films), part.dice.text(), part.surface_distance.text(4), part.lost_half_white.text()
        )
    Console().print(table)


def apply(paths: Sequence[Path], *, segmenter_dir: Path | None, output: Path) -> int:
    """Writes a mask and a picture of each film, and a table; returns the exit code.

    Args:
        paths: Files, folders and zip archives.
        segmenter_dir: The segmenter's folder; None for that of the package.
        output: Folder for the results.

    Raises:
        UserError: Where no film can be read.
    """
    segmenter = Segmenter.open(segmenter_dir)
    found = inputs.find(paths)
    output.mkdir(parents=True, exist_ok=True)
    refused = 0
    with files.replacing(output / TABLE) as written, written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", *anatomy.COLUMNS, "notes", "no_lungs"))
        with progress.bar() as shown:
            task = shown.add_task("outlining", total=len(found))
            for item, film, reason in map_ahead(_decoded, found, ahead=_AHEAD):
                if film is None:
                    progress.say(f"not outlined: {item.name}: {reason}")
                    refused += 1
                else:
                    lungs = segmenter.start(film[np.newaxis])()[0]
                    _save(item, film, lungs, output)
                    measured = anatomy.measure(lungs)
                    values = [f"{value:.4f}" for value in measured.measures.values()]
                    notes = "; ".join(anatomy.notes(measured, film, lungs))
                    writer.writerow((harmless(item.name), *values, notes, anatomy.refusal(measured, film)))
                shown.advance(task)
    if refused == len(found):
        raise UserError("at least one film must be readable, none is; see above")
    progress.say(f"outlined: {len(found) - refused} of {len(found)}, in {output}")
    return SOME_FILES_REFUSED_EXIT_CODE if refused else 0


def _decoded(item: Input) -> tuple[Input, np.ndarray | None, str]:
    try:
        return item, images.canonical(inputs.film(item.content).pixels), ""
    except images.ImageError as error:
        return item, None, str(error)


def _save(item: Input, film: np.ndarray, lungs: np.ndarray, folder: Path) -> None:
    """Writes the mask, `NAME-lungs.png`, see `pictures.as_mask`, and `NAME-outline.png`."""
    digest = hashlib.sha256(item.name.encode()).hexdigest()[:8]
    stem = f"{files.short(PurePath(item.name).name, room=60)}-{digest}"
    pictures.as_mask(lungs).save(folder / f"{stem}-lungs.png")
    Image.fromarray(pictures.draw(film[..., 0], lungs)).save(folder / f"{stem}-outline.png")
