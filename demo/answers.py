"""What readers answer, kept in a local SQLite file."""

import contextlib
import datetime as dt
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError

DATABASE, FILMS = "feedback.sqlite3", "films"
_SHA256 = "[0-9a-f]{64}"
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
        # Damaged, none of SQLite's, or the disk is full; of a damaged schema SQLite's own message may be no text.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.folder / DATABASE} cannot be used ({error}); restore it, or name another --feedback"
            ) from error
        finally:
            connection.close()

    def _keep(self, sha256: str, film: npt.NDArray[np.uint8]) -> None:
        path = self.film(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, images.encode_png(film))
