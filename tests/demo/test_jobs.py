"""Worklists share the processor, and end with the page that asked."""

import time
from pathlib import Path

import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.serving import Predictor, load
from demo import jobs
from demo.jobs import Jobs
from tests import drawn_run

FILMS = 6


class Slow:
    """A predictor that takes a hundredth of a second a film."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.notices = predictor.notices
        self.scored = 0

    def predict(self, found):
        for prediction in self._predictor.predict(found):
            time.sleep(0.01)
            self.scored += 1
            yield prediction


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    written = drawn_run.write_films(tmp_path_factory.mktemp("films"), FILMS)
    return [(file, file.name) for file in written]


@pytest.fixture
def predictor(demo_run: Path) -> Slow:
    return Slow(load(demo_run))


def finished(running: Jobs, name: str) -> jobs.Job:
    job = running.wait(name, 10**9, 60)
    assert not running.is_running(job)
    return job


def test_a_short_worklist_does_not_wait_for_a_long_one(predictor: Slow, files) -> None:
    running = Jobs(predictor)
    long, short = running.start("one"), running.start("two")
    running.add(long, files * 50)
    running.add(short, files)
    assert [row.file for row in finished(running, short).rows] == [name for _, name in files]
    assert len(running.job(long).rows) < 10 * jobs.TURN
    running.forget(session="one")
    with pytest.raises(UserError, match="no longer kept"):
        running.job(long)


def test_a_worklist_stops_when_cancelled_or_when_no_page_asks(predictor: Slow, files) -> None:
    running = Jobs(predictor)
    cancelled, left = running.start("one"), running.start("two", patience=0.05)
    running.add(cancelled, files * 50)
    running.stop(cancelled)
    running.add(left, files * 50)
    job, deadline = running.job(left), time.monotonic() + 60
    while running.is_running(job):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(job.found) == len(job.rows) < 50 * FILMS
    assert len(running.job(cancelled).found) < 50 * FILMS


def test_films_are_added_in_parts_and_equal_names_told_apart(predictor: Slow, files, monkeypatch) -> None:
    running = Jobs(predictor)
    name = running.start("one")
    running.add(name, files[:2])
    finished(running, name)
    running.add(name, files[1:3])
    job = finished(running, name)
    assert [row.file for row in job.rows] == ["000.png", "001.png", "001.png (2)", "002.png"]
    assert [row.index for row in job.rows] == [0, 1, 2, 3]
    monkeypatch.setattr(jobs, "MAX_FILMS", 5)
    with pytest.raises(UserError, match="may hold 5 films, received 6"):
        running.add(name, files[:2])


def test_worklists_are_bounded_in_number_and_time(predictor: Slow, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "MAX_JOBS", 2)
    running = Jobs(predictor)
    running.start("one")
    running.start("two")
    with pytest.raises(UserError, match="keeps 2 worklists"):
        running.start("three")
    monkeypatch.setattr(jobs, "KEPT_SECONDS", 0.0)
    running.start("three")  # nobody asked about the others for so long


def test_a_fault_of_ours_ends_one_worklist_only(predictor: Slow, files, monkeypatch) -> None:
    running = Jobs(predictor)
    name, other = running.start("one"), running.start("two")
    monkeypatch.setattr(Slow, "predict", lambda self, found: iter([None]))
    running.add(name, files)
    assert finished(running, name).failed
    monkeypatch.undo()
    running.add(other, files)
    assert len(finished(running, other).rows) == FILMS
