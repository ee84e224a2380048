"""What readers answer: kept in a local SQLite file, and exported as labels to evaluate on.

    python -m demo.feedback runs/first/feedback --output labels --films ARCHIVE

writes `labels/labels.csv`, with the columns path and label that `python -m cxr_keras3.evaluate --labels` reads: a row
for each film that a reader allowed to be kept, and for each file below ARCHIVE whose hash a reader answered to. It
writes `labels/answers.csv` too, with every answer. With `--deidentify` the folder holds copies of the films, without
their patients, and may leave the hospital as far as its rules for pictures allow.
"""

import argparse
import contextlib
import csv
import datetime as dt
import hashlib
import re
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.base import files, progress
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.base.tables import harmless
from cxr_keras3.images.deidentification import deidentified

DATABASE, FILMS = "feedback.sqlite3", "films"
_SHA256 = "[0-9a-f]{64}"
LABELS_CSV, ANSWERS_CSV = "labels.csv", "answers.csv"
MAX_COMMENT = 2000
_SCHEMA = """CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, created TEXT NOT NULL, sha256 TEXT NOT NULL, model TEXT NOT NULL, predicted TEXT NOT NULL,
    label TEXT NOT NULL, agrees INTEGER NOT NULL, comment TEXT NOT NULL, kept INTEGER NOT NULL, reader TEXT NOT NULL)"""
_ADD_READER = "ALTER TABLE answers ADD COLUMN reader TEXT NOT NULL DEFAULT ''"  # to what earlier versions kept
_WITHDRAW = "DELETE FROM answers WHERE sha256 = ? AND reader = ?"
OTHER_LABELS = ("None of these", "Not a chest film", "Poor quality")
"""What a reader may say beside the classes; films so labelled are not evaluated on."""
MAX_READER = 40


@dataclass(frozen=True)
class ReaderAnswer:
    """What a reader said of one film.

    Attributes:
        created: When, ISO 8601 in UTC.
        sha256: Of the film's file, in hexadecimal.
        model: The run that had answered.
        predicted: Its most probable class.
        label: The class that the reader gives it.
        agrees: Whether these are the same.
        comment: In the reader's words.
        kept: Whether the film as the model saw it is kept too.
        reader: The reader's name or initials; empty where not said.
    """

    created: str
    sha256: str
    model: str
    predicted: str
    label: str
    agrees: bool
    comment: str
    kept: bool
    reader: str


class Store:
    """A folder with the answers, and with the films that readers allowed to be kept.

    SQLite in WAL mode: several threads and processes may write at once, each waits up to half a minute for its turn.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.folder = folder
        self._class_names = tuple(class_names)

    def add(
        self,
        *,
        sha256: str,
        model: str,
        predicted: str,
        label: str,
        comment: str = "",
        reader: str = "",
        film: npt.NDArray[np.uint8] | None = None,
    ) -> ReaderAnswer:
        """Keeps an answer, made durable before this returns. It replaces an earlier one of this reader to this film.

        Args:
            sha256: Of the film's file, in hexadecimal.
            model: The run that answered.
            predicted: Its most probable class; empty where it refused the film.
            label: The class that the reader gives it, or one of `OTHER_LABELS`.
            comment: At most `MAX_COMMENT` characters, without the patient's name.
            reader: Name or initials, at most `MAX_READER` characters; empty where not said: such answers replace none.
            film: uint8 (299, 299), only where the reader allowed it to be kept. It is written as a PNG, without a
                DICOM header.

        Raises:
            UserError: Where something is not as described, or the folder cannot be written.
        """
        if not re.fullmatch(_SHA256, sha256):
            raise UserError("sha256 must be 64 hexadecimal digits; take it from the answer to the film")
        for name, value, others in (("label", label, OTHER_LABELS), ("predicted", predicted, ("",))):
            if value not in (*self._class_names, *others):
                raise UserError(f"{name} must be one of {', '.join(self._class_names)}, received {value[:60]!r}")
        if len(comment) > MAX_COMMENT:
            raise UserError(f"a comment may have {MAX_COMMENT} characters, received {len(comment)}; shorten it")
        if len(reader) > MAX_READER:
            raise UserError(f"a reader's name may have {MAX_READER} characters, received {len(reader)}; give initials")
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        answer = ReaderAnswer(
            now, sha256, model, predicted, label, label == predicted, comment, film is not None, reader
        )
        try:
            if film is not None:
                self._keep(sha256, film)
            with self._connection() as connection:
                names = ", ".join(field.name for field in fields(ReaderAnswer))
                marks = ", ".join("?" * len(fields(ReaderAnswer)))
                if reader:
                    connection.execute(_WITHDRAW, (sha256, reader))
                connection.execute(f"INSERT INTO answers ({names}) VALUES ({marks})", astuple(answer))  # noqa: S608 -- our own names
        except OSError as error:
            raise UserError(
                f"the answer could not be kept ({error}); start the demo with another --feedback"
            ) from error
        return answer

    def withdraw(self, sha256: str, reader: str) -> None:
        """Takes a reader's answer to a film back. A kept film stays where another reader allowed it, too."""
        with self._connection() as connection:
            connection.execute(_WITHDRAW, (sha256, reader))
        if not any(answer.kept for answer in self.answers() if answer.sha256 == sha256):
            self.film(sha256).unlink(missing_ok=True)

    def answers(self) -> list[ReaderAnswer]:
        """All answers, the oldest first."""
        if not (self.folder / DATABASE).exists():
            return []
        names = ", ".join(field.name for field in fields(ReaderAnswer))
        with self._connection() as connection:
            rows = connection.execute(f"SELECT {names} FROM answers ORDER BY id").fetchall()  # noqa: S608 -- see above
        flags = ("agrees", "kept")  # SQLite has no truth values
        found = [ReaderAnswer(**dict(row) | {name: bool(row[name]) for name in flags}) for row in rows]
        if not all(re.fullmatch(_SHA256, str(each.sha256)) for each in found):
            raise UserError(f"{self.folder / DATABASE} is damaged: an answer names no film by its hash; restore it")
        return found

    def film(self, sha256: str) -> Path:
        """Where the kept film of a file is, or would be."""
        return self.folder / FILMS / f"{sha256}.png"

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, committed at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.folder / DATABASE, timeout=30)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            with connection:
                connection.execute(_SCHEMA)
                if not any(row["name"] == "reader" for row in connection.execute("PRAGMA table_info(answers)")):
                    connection.execute(_ADD_READER)
                yield connection
        except sqlite3.DatabaseError as error:  # damaged, none of SQLite's, or the disk is full
            raise UserError(
                f"{self.folder / DATABASE} cannot be used ({error}); restore it, or name another --feedback"
            ) from error
        finally:
            connection.close()

    def _keep(self, sha256: str, film: npt.NDArray[np.uint8]) -> None:
        path = self.film(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, images.encode_png(film))


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
