"""The dossier of a run: model facts, Annex IV and reporting checklists, filled from its files, with every gap named."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxr_keras3.base import files
from cxr_keras3.report.checklists import ALL, Answer, Checklist, Item
from cxr_keras3.report.evidence import AlteredError, Evidence, GapError, Statement
from cxr_keras3.report.templating import environment
from cxr_keras3.run.folder import Run

_ENVIRONMENT = environment("cxr_keras3.report")

DOSSIER = "dossier.html"

State = Literal["answered", "partly", "gap", "people", "altered"]
STATES: dict[State, str] = {
    "answered": "answered from the run's files",
    "partly": "answered in part, with a gap",
    "gap": "a gap: the run's files do not say",
    "people": "for people to write",
    "altered": "withdrawn: files contradict one another",
}
"""What each state of an item means, the worst last."""


@dataclass(frozen=True)
class Answered:
    """An item and what the run says to it.

    Attributes:
        item: The item.
        statements: What is said.
        gaps: What is missing, one line each.
        contradictions: Which files contradict one another, likewise.
    """

    item: Item
    statements: tuple[Statement, ...]
    gaps: tuple[str, ...]
    contradictions: tuple[str, ...]

    @property
    def state(self) -> State:
        """What has become of the item."""
        if self.contradictions:
            return "altered"
        if not self.item.answers:
            return "people"
        if self.gaps:
            return "partly" if self.statements else "gap"
        return "answered"


def fill(checklist: Checklist, evidence: Evidence) -> list[Answered]:
    """Answers a checklist's items.

    A statement that rests on a file that is not there is a gap; one on files that contradict one another is withdrawn.
    """
    return [_fill(item, evidence) for item in checklist.items]


def write_dossier(path: Path, run: Run) -> dict[State, int]:
    """Writes the dossier of a run as an HTML page.

    Args:
        path: Where it goes. Links are relative to its folder.
        run: The run.

    Returns:
        How many items, of all checklists, are in each state.
    """
    evidence = Evidence(run)
    filled = [(checklist, fill(checklist, evidence)) for checklist in ALL]
    rows = [row for _, rows in filled for row in rows]
    sources = sorted({source.file for row in rows for statement in row.statements for source in statement.sources})
    page = _ENVIRONMENT.get_template("dossier.html").render(
        run=run,
        filled=filled,
        states=STATES,
        counts={checklist.key: _counts(of) for checklist, of in filled},
        contradictions=sorted({words for row in rows for words in row.contradictions}),
        files=[(file, _link(evidence.path(file), path.parent), evidence.digest(file)) for file in sources],
        numbers={file: number for number, file in enumerate(sources, 1)},
        verdict=_verdict(evidence),
    )
    files.write_text(path, page)
    return _counts(rows)


def _verdict(evidence: Evidence) -> str:
    """The audit's verdict; empty where there is none to be believed."""
    try:
        return evidence.metrics.audit.verdict
    except (GapError, AlteredError):
        return ""


def _fill(item: Item, evidence: Evidence) -> Answered:
    statements, gaps, contradictions = [], [], []
    for answer in item.answers:
        try:
            statements.append(_rested(answer, evidence))
        except GapError as error:
            gaps.append(str(error))
        except AlteredError as error:
            contradictions.append(str(error))
    return Answered(item, tuple(statements), tuple(gaps), tuple(contradictions))


def _rested(answer: Answer, evidence: Evidence) -> Statement:
    statement = answer(evidence)
    missing = [source.file for source in statement.sources if not evidence.path(source.file).exists()]
    if missing:
        raise GapError(f"it would rest on {', '.join(missing)}, which is not there")
    return statement


def _counts(rows: list[Answered]) -> dict[State, int]:
    found = [row.state for row in rows]
    return {state: found.count(state) for state in STATES}


def _link(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
