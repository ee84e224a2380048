"""Worklists under way: they share the processor fairly, and end with the page that asked for them.

One thread scores a few films of each worklist in turn, so that ten films do not wait for another reader's thousand. A
worklist that no page asks about any more is stopped. Nothing lies in Gradio's sessions, whose number is bounded and
which any program opens.
"""

import dataclasses
import itertools
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.images.patients import Taken
from cxr_keras3.serving import Prediction, Predictor
from cxr_keras3.serving.inputs import Input
from demo import worklist
from demo.worklist import Row

TURN = 8
"""Films of one worklist that are scored before it is another's turn."""
MAX_FILMS = 10_000
"""Most films in one worklist; the page sends them in parts."""
MAX_JOBS = 256
"""Most worklists that are kept."""
ABANDONED_SECONDS = 30.0
"""After which a worklist is stopped that no page has asked about."""
KEPT_SECONDS = 3600.0
"""After which one is forgotten that no page has asked about."""


@dataclass(eq=False)
class Job:
    """A worklist: its films and what was found so far.

    Attributes:
        session: The page that asked.
        patience: Seconds without a question after which it is stopped.
        found: Its films, in their order.
        named: How often each name stands among them.
        predictions: The answers to the first of them, without pictures.
        rows: What the table shows of these.
        taken: Of whom the first of its films are, and of when, where a page has asked; None of those that do not say.
        parts: What is still to be scored.
        asked: When a page last asked, on the monotonic clock.
        failed: Whether scoring ended in an error of ours.
    """

    session: str
    patience: float
    found: list[Input] = field(default_factory=list)
    named: Counter[str] = field(default_factory=Counter)
    predictions: list[Prediction] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    taken: list[Taken | None] = field(default_factory=list)
    parts: deque[Iterator[Prediction]] = field(default_factory=deque)
    asked: float = field(default_factory=time.monotonic)
    failed: bool = False


class Jobs:
    """Scores worklists in turns. Safe to use from several threads."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._jobs: dict[str, Job] = {}
        self._turns: deque[Job] = deque()  # those with something to score
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="worklists", daemon=True).start()

    def start(self, session: str, *, patience: float = ABANDONED_SECONDS) -> str:
        """Begins an empty worklist; returns the name by which it is asked for, which no one can guess.

        Raises:
            UserError: Where as many are kept as may be.
        """
        with self._changed:
            now = time.monotonic()
            for name in [name for name, job in self._jobs.items() if now - job.asked > KEPT_SECONDS]:
                self._stop(self._jobs.pop(name))
            if len(self._jobs) >= MAX_JOBS:
                raise UserError(f"the server keeps {MAX_JOBS} worklists and has as many; come back in an hour")
            name = secrets.token_urlsafe(16)
            self._jobs[name] = Job(session, patience)
            return name

    def add(self, name: str, files: Sequence[tuple[Path, str]]) -> None:
        """Adds films to a worklist.

        Args:
            name: Of the worklist.
            files: See `worklist.find`.

        Raises:
            UserError: Where there is no such worklist any more, it would grow beyond `MAX_FILMS`, or `worklist.find`
                finds nothing.
        """
        with self._changed:
            job = self.job(name)
            found = worklist.find(files, named=job.named)
            if len(job.found) + len(found) > MAX_FILMS:
                count = len(job.found) + len(found)
                raise UserError(f"a worklist may hold {MAX_FILMS} films, received {count}; begin another one")
            job.found.extend(found)
            job.parts.append(worklist.score(self._predictor, found))
            if job not in self._turns:
                self._turns.append(job)
            self._changed.notify_all()

    def job(self, name: str) -> Job:
        """A worklist by its name.

        Raises:
            UserError: Where it is there no more.
        """
        if name not in self._jobs:
            raise UserError("this worklist is no longer kept; read it again")
        job = self._jobs[name]
        job.asked = time.monotonic()
        return job

    def wait(self, name: str, after: int, seconds: float | None) -> Job:
        """A worklist, as soon as it has more than `after` rows or nothing to score.

        Args:
            name: Of the worklist.
            after: The number of rows that are known.
            seconds: The longest wait; None for one without end.
        """

        def is_ready() -> bool:
            job = self.job(name)
            return len(job.rows) > after or job not in self._turns

        with self._changed:
            self._changed.wait_for(is_ready, seconds)
            return self.job(name)

    def stop(self, name: str) -> None:
        """Stops a worklist; what was scored stays."""
        with self._changed:
            self._stop(self.job(name))

    def forget(self, *, session: str | None = None, name: str | None = None) -> None:
        """Stops and forgets a session's worklists, or one of them."""
        with self._changed:
            for each in [each for each, job in self._jobs.items() if each == name or job.session == session]:
                self._stop(self._jobs.pop(each))

    def is_running(self, job: Job) -> bool:
        """Whether there is something to score."""
        return job in self._turns

    def _stop(self, job: Job) -> None:
        job.parts.clear()  # a generator ends its threads when it is forgotten
        del job.found[len(job.rows) :]
        if job in self._turns:
            self._turns.remove(job)
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._turns))
                job = self._turns[0]
                self._turns.rotate(-1)
                if time.monotonic() - job.asked > job.patience:
                    self._stop(job)
                    continue
                scoring = job.parts[0]
            try:
                scored = [self._shown(job, each) for each in itertools.islice(scoring, TURN)]
            except Exception:  # noqa: BLE001 -- must not end everyone's worklists; the page says that it failed
                with self._changed:
                    job.failed = True
                    self._stop(job)
                continue
            with self._changed:
                if not job.parts or job.parts[0] is not scoring:  # stopped meanwhile
                    continue
                for row, prediction in scored:
                    job.rows.append(dataclasses.replace(row, index=len(job.rows)))
                    job.predictions.append(prediction)
                if len(scored) < TURN:
                    job.parts.popleft()
                    if not job.parts:
                        self._turns.remove(job)
                self._changed.notify_all()

    def _shown(self, job: Job, prediction: Prediction) -> tuple[Row, Prediction]:
        row = worklist.row(self._predictor, len(job.rows), prediction)
        return row, dataclasses.replace(prediction, image=None, activation_maps=None, lungs=None)
