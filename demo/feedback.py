"""What readers answered, exported as labels to evaluate on.

    python -m demo.feedback runs/first/feedback --output labels --films ARCHIVE

writes `labels/labels.csv`, with the columns path and label that `python -m cxr_keras3.evaluate --labels` reads: a row
for each film that a reader allowed to be kept, and for each file below ARCHIVE whose hash a reader answered to. It
writes `labels/answers.csv` too, with every answer. With `--deidentify` the folder holds copies of the films, without
their patients, and may leave the hospital as far as its rules for pictures allow.
"""

import argparse
import csv
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path

from cxr_keras3 import images
from cxr_keras3.base import files, progress
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.base.tables import harmless
from cxr_keras3.images.deidentification import deidentified
from demo.answers import DATABASE, FILMS, OTHER_LABELS, ReaderAnswer, Store

LABELS_CSV, ANSWERS_CSV = "labels.csv", "answers.csv"


def labels(answers: Sequence[ReaderAnswer], paths: dict[str, str]) -> list[dict[str, str]]:
    """The rows of `labels.csv`: a film's last answer counts, and a film without a path or a class has no row.

    Args:
        answers: The oldest first.
        paths: Hash of a film's file to its path.
    """
    last = {answer.sha256: answer for answer in answers}
    return [
        {"path": paths[digest], "label": answer.label, "sha256": digest, "created": answer.created}
        for digest, answer in last.items()
        if digest in paths and answer.label not in OTHER_LABELS
    ]


def export(
    store: Store, output: Path, *, archive: Path | None = None, deidentify: bool = False, comments: bool = True
) -> int:
    """Writes `labels.csv` and `answers.csv`, and copies the kept films beside them.

    Args:
        store: The answers.
        output: A folder; made where missing.
        archive: A folder of films, whose hashes are compared with those of the answers.
        deidentify: Copy the archive's films too, without their patients, in place of naming them where they are, and
            leave out what readers wrote in words.
        comments: Whether `answers.csv` holds them; what visitors of the page download does not.

    Returns:
        The number of rows in `labels.csv`.
    """
    answers = store.answers() if comments and not deidentify else without_comments(store.answers())
    wanted = {answer.sha256 for answer in answers}
    paths = _found(archive, wanted) if archive else {}
    (output / FILMS).mkdir(parents=True, exist_ok=True)
    if deidentify:
        paths = _copied(paths, output)
    for digest in sorted(wanted - paths.keys()):
        if store.film(digest).exists():
            files.write_bytes(output / FILMS / f"{digest}.png", store.film(digest).read_bytes())
            paths[digest] = f"{FILMS}/{digest}.png"
    rows = labels(answers, paths)
    _write(output / LABELS_CSV, ["path", "label", "sha256", "created"], [list(row.values()) for row in rows])
    _write(
        output / ANSWERS_CSV, [field.name for field in fields(ReaderAnswer)], [list(astuple(each)) for each in answers]
    )
    return len(rows)


def without_comments(answers: Sequence[ReaderAnswer]) -> list[ReaderAnswer]:
    """Answers as any visitor may have them."""
    return [replace(answer, comment="") for answer in answers]


def _found(archive: Path, wanted: set[str]) -> dict[str, str]:
    films = sorted(path for path in archive.rglob("*") if path.is_file())
    found: dict[str, str] = {}
    for path in progress.track(films, description="comparing hashes"):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in wanted:
            found.setdefault(digest, str(path.resolve()))
    return found


def _copied(paths: dict[str, str], output: Path) -> dict[str, str]:
    """Copies films without their patients, under a key that nobody keeps; one that cannot be is said and left out."""
    key, copied = secrets.token_bytes(32), {}
    for digest, path in paths.items():
        try:
            copy, suffix = deidentified(Path(path).read_bytes(), key=key)
        except images.ImageError as error:
            progress.say(f"left out: film {digest[:12]}: {error}")
            continue
        copied[digest] = f"{FILMS}/{digest}{suffix}"
        files.write_bytes(output / copied[digest], copy)
    return copied


def _write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    with files.replacing(path) as written, written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[harmless(value) for value in row] for row in rows])


def main(arguments: Sequence[str]) -> int:
    """Exports the answers."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.feedback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the demo's --feedback, RUN/feedback when that was left out")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the tables go")
    parser.add_argument("--films", type=Path, metavar="DIR", help="folder of films to find by their hashes")
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="copy the films of --films too, without their patients (PS3.15, basic profile), and leave out comments",
    )
    options = parser.parse_args(arguments)
    if options.deidentify and not options.films:
        raise UserError("--deidentify needs the films to copy, received none; name them with --films")
    for folder in filter(None, (options.folder, options.films)):
        if not folder.is_dir():
            raise UserError(f"an existing folder is needed, received {folder}; name another")
    if not (options.folder / DATABASE).is_file():
        raise UserError(f"the folder must hold {DATABASE}, {options.folder} does not; name the demo's --feedback")
    count = export(Store(options.folder, ()), options.output, archive=options.films, deidentify=options.deidentify)
    progress.say(f"{count} films with labels: {options.output / LABELS_CSV}")
    return 0


if __name__ == "__main__":
    run_command(main)
