"""What became of each study, in SQLite, so that a gateway that is killed goes on where it was.

A study is known here by a pseudonym: BLAKE2 of its UID with a key that is drawn when the file is made. The UID
itself is in neither this file nor any log, since it leads to the patient in the hospital's systems.
"""

import contextlib
import hashlib
import json
import random
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError

SCHEMA_VERSION = 1
WAITING, FAILING, STORED, NOTHING = "waiting", "failing", "stored", "nothing"
STAGES = (WAITING, FAILING, STORED, NOTHING)
"""Still arriving or not looked at; tried in vain, to be tried again; answered; holds no film that can be scored."""
FIRST_RETRY, LAST_RETRY = 5.0, 3600.0  # seconds

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE study (
    pseudonym TEXT NOT NULL, model TEXT NOT NULL, stage TEXT NOT NULL, instances INTEGER NOT NULL,
    changed REAL NOT NULL, attempts INTEGER NOT NULL, next_try REAL NOT NULL, reasons TEXT NOT NULL,
    PRIMARY KEY (pseudonym, model)
);
"""


@dataclass(frozen=True)
class StudyRecord:
    """What is known of a study.

    Attributes:
        pseudonym: Stands for it in logs.
        stage: One of `STAGES`.
        attempts: How often it was tried in vain since it last changed.
        next_try: When to try again, in seconds since 1970; 0 at once.
        changed: When its number of instances was last seen to change, likewise.
        reasons: Why its images were refused, or why the last attempt failed, one line each.
    """

    pseudonym: str
    stage: str
    attempts: int
    next_try: float
    changed: float
    reasons: tuple[str, ...]

    def is_due(self, *, settle_seconds: float) -> bool:
        """Whether to handle it now: it has stopped arriving, and is neither answered nor to be left alone yet."""
        now = time.time()
        unanswered = self.stage in (WAITING, FAILING)
        return unanswered and now >= self.next_try and now - self.changed >= settle_seconds


class State:
    """The state file of one gateway, for one model. Open it with `opened`."""

    def __init__(self, database: sqlite3.Connection, model: str) -> None:
        self._database, self._model = database, model
        found = database.execute("SELECT value FROM setting WHERE name = 'key'").fetchone()
        if found is None or not isinstance(found[0], bytes) or not 16 <= len(found[0]) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise sqlite3.DatabaseError("it has no key")
        (self._key,) = found

    def pseudonym(self, study_uid: str) -> str:
        """What stands for a study here and in logs, 16 hexadecimal digits."""
        return hashlib.blake2b(study_uid.encode(), key=self._key, digest_size=8).hexdigest()

    def transaction(self, item_uid: str) -> str:
        """The Transaction UID by which this gateway holds a work item. Nobody else can guess it; it outlives a kill."""
        digest = hashlib.blake2b(item_uid.encode(), key=self._key, digest_size=16, person=b"transaction").digest()
        return f"2.25.{uuid.UUID(bytes=digest, version=4).int}"

    def see(self, study_uid: str, *, instances: int) -> StudyRecord:
        """Notes that the archive holds a study, and returns what is known of it.

        One that held no film is looked at again when it grows; one that is answered stays so.
        """
        key = (self.pseudonym(study_uid), self._model)
        with self._database:
            self._database.execute(
                "INSERT OR IGNORE INTO study VALUES (?, ?, ?, ?, ?, 0, 0, '[]')",
                (*key, WAITING, instances, time.time()),
            )
            self._database.execute(
                "UPDATE study SET instances = ?, changed = ?, stage = ?, attempts = 0, next_try = 0, reasons = '[]' "
                "WHERE pseudonym = ? AND model = ? AND instances != ? AND stage != ?",
                (instances, time.time(), WAITING, *key, instances, STORED),
            )
        record = self.find(study_uid)
        if record is None:
            raise RuntimeError("a study that was just noted is not there")
        return record

    def find(self, study_uid: str) -> StudyRecord | None:
        """What is known of a study; None where it was never seen."""
        row = self._database.execute(
            "SELECT pseudonym, stage, attempts, next_try, changed, reasons FROM study "
            "WHERE pseudonym = ? AND model = ?",
            (self.pseudonym(study_uid), self._model),
        ).fetchone()
        if row is None:
            return None
        pseudonym, stage, attempts, next_try, changed, reasons = row
        try:
            told = tuple(map(str, json.loads(reasons)))
            return StudyRecord(str(pseudonym), str(stage), int(attempts), float(next_try), float(changed), told)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise sqlite3.DatabaseError("a study's row is damaged") from error

    def begin(self, record: StudyRecord) -> float:
        """Notes an attempt before it is made, as one in vain, and returns in how many seconds the next is due.

        So a study that ends the process, by its size or by a defect of a decoder, does not do so for ever.
        """
        delay = min(FIRST_RETRY * 2.0 ** min(record.attempts, 30), LAST_RETRY) * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
        begun = replace(record, stage=FAILING, attempts=record.attempts + 1, next_try=time.time() + delay)
        self.write(replace(begun, reasons=("the gateway ended while it worked on this study",)))
        return delay

    def write(self, record: StudyRecord) -> None:
        """Notes what became of a study; all but when it changed."""
        with self._database:
            self._database.execute(
                "UPDATE study SET stage = ?, attempts = ?, next_try = ?, reasons = ? WHERE pseudonym = ? AND model = ?",
                (
                    *(record.stage, record.attempts, record.next_try, json.dumps(record.reasons)),
                    *(record.pseudonym, self._model),
                ),
            )

    def forget_unfinished(self, *, but: Iterable[str]) -> None:
        """Forgets the studies or work items that are neither answered nor among these UIDs, as others ended them."""
        kept = {self.pseudonym(uid) for uid in but}
        rows = self._database.execute(
            "SELECT pseudonym FROM study WHERE model = ? AND stage IN (?, ?)", (self._model, WAITING, FAILING)
        )
        gone = [(pseudonym, self._model) for (pseudonym,) in rows.fetchall() if pseudonym not in kept]
        with self._database:
            self._database.executemany("DELETE FROM study WHERE pseudonym = ? AND model = ?", gone)

    def forget(self, record: StudyRecord) -> None:
        """Forgets a work item that another has."""
        with self._database:
            self._database.execute(
                "DELETE FROM study WHERE pseudonym = ? AND model = ?", (record.pseudonym, self._model)
            )

    def counts(self) -> dict[str, int]:
        """How many studies are at each stage."""
        rows = self._database.execute(
            "SELECT stage, count(*) FROM study WHERE model = ? GROUP BY stage", (self._model,)
        )
        return dict.fromkeys(STAGES, 0) | dict(rows.fetchall())


@contextlib.contextmanager
def opened(path: Path | None, *, model: str) -> Iterator[State]:
    """Opens a state file, and makes it where there is none, readable by its owner alone.

    Args:
        path: The file; None for a state that is forgotten at the end.
        model: The fingerprint of the model whose answers it keeps.

    Raises:
        UserError: Where another gateway has it open, or it is no state file of this version.
    """
    if path is None:
        with contextlib.closing(_connect(":memory:")) as database:
            yield State(database, model)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rule = f"only one gateway may use a state file such as {path.name}"
    with files.exclusive(path.with_name(path.name + ".lock"), rule=rule, remedy="name another --state"):
        path.touch(mode=0o600)
        with _told(path), contextlib.closing(_connect(path)) as database:
            yield State(database, model)


def explain(path: Path, study_uid: str, *, model: str) -> tuple[str, StudyRecord | None]:
    """What stands for a study in logs, and what is known of it; the gateway may be at work on the file.

    Raises:
        UserError: Where there is no such file.
    """
    if not path.is_file():
        raise UserError(f"--state must be an existing file to explain from, received {path}")
    with _told(path), contextlib.closing(_connect(path)) as database:
        state = State(database, model)
        return state.pseudonym(study_uid), state.find(study_uid)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says in one line what SQLite cannot do with a file: it is damaged or none of its, or the disk is full."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{path} cannot be used as a state file of the gateway ({error}); name another --state"
        ) from error


def _connect(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)  # one thread at a time: the one that works
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == tables == 0:
            key = f"INSERT INTO setting VALUES ('key', x'{secrets.token_hex(32)}')"  # noqa: S608 -- hexadecimal digits
            version = SCHEMA_VERSION
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(f"BEGIN; {_SCHEMA} {key}; PRAGMA user_version = {version}; COMMIT;")
    except sqlite3.DatabaseError:
        database.close()
        raise
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes a damaged schema
        database.close()
        raise sqlite3.DatabaseError("its schema is damaged") from error
    if version != SCHEMA_VERSION:
        database.close()
        raise UserError(f"{path} must have schema version {SCHEMA_VERSION}, it has {version}; name another --state")
    return database
