"""The dossier of a run: what its files say, and what becomes of it where they are altered."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from cxr_keras3 import dossier as command
from cxr_keras3.report.checklists import ALL, ANNEX_IV, CLAIM, MODEL_FACTS
from cxr_keras3.report.dossier import Answered, fill, write_dossier
from cxr_keras3.report.evidence import Evidence
from cxr_keras3.run.folder import REFERENCE, Run
from tests import drawn_run


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the reference model's run, to be altered."""
    return Path(shutil.copytree(REFERENCE, tmp_path / "reference"))


def filled(run: Path) -> dict[str, list[Answered]]:
    """The rows of each checklist."""
    evidence = Evidence(Run.open(run))
    return {checklist.key: fill(checklist, evidence) for checklist in ALL}


def said(rows: dict[str, list[Answered]]) -> str:
    return "\n".join(statement.text for of in rows.values() for row in of for statement in row.statements)


def edited(path: Path, edit: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_the_reference_model_s_files_agree_and_every_statement_rests_on_one() -> None:
    rows = filled(REFERENCE)
    evidence = Evidence(Run.open(REFERENCE))
    for of in rows.values():
        for row in of:
            assert row.state != "altered"
            assert row.state == "people" or row.statements or row.gaps
            for statement in row.statements:
                assert statement.sources
                assert all(evidence.digest(source.file) for source in statement.sources), row.item
    metrics = json.loads((REFERENCE / "evaluation" / "metrics.json").read_text())
    assert f"{metrics['accuracy']['value']:.3f}" in said(rows)
    assert len(rows["claim"]) == 44


def test_places_named_in_files_are_there() -> None:
    rows = filled(REFERENCE)
    for of in rows.values():
        for source in {source for row in of for statement in row.statements for source in statement.sources}:
            if source.file.endswith(".json") and source.place:
                content = json.loads((REFERENCE / source.file).read_text())
                for place in source.place.split(", "):
                    found = content
                    for key in place.split("."):
                        if (source.file, place) == ("manifest.json", "config.members"):
                            break  # an ensemble has it
                        found = found[key]


ALTERATIONS = {
    "a better accuracy": ("evaluation/metrics.json", lambda found: found["accuracy"].update(value=0.99)),
    "a better confusion matrix": (
        "evaluation/metrics.json",
        lambda found: found["confusion_matrix"][0].__setitem__(slice(0, 2), [336, 1]),
    ),
    "a better AUROC": ("evaluation/metrics.json", lambda found: found["macro_auroc"].update(value=0.999)),
    "the metrics of another run": ("evaluation/metrics.json", lambda found: found.update(run="another")),
    "another threshold": ("calibration.json", lambda found: found.update(abnormal_threshold=0.2)),
    "other counts": ("manifest.json", lambda found: found["data"]["counts"]["test"].update(COVID=999)),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_figures_are_withdrawn(alteration: str, copied: Path) -> None:
    file, edit = ALTERATIONS[alteration]
    edited(copied / file, edit)
    rows = filled(copied)
    performance = {row.item.asks: row for row in rows["claim"]}["metrics"]
    assert performance.state == "altered"
    assert "metrics.json contradicts" in performance.contradictions[0]
    assert not performance.statements


def test_altered_predictions_withdraw_the_figures(copied: Path) -> None:
    path = copied / "evaluation" / "predictions.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-5]))
    assert {row.state for row in filled(copied)["claim"] if row.item.number in ("28", "37", "38")} == {"altered"}
    path.write_text("no table")
    assert {row.state for row in filled(copied)["claim"] if row.item.number in ("28", "37", "38")} == {"altered"}


def test_an_altered_export_or_model_is_not_the_one_that_was_measured(copied: Path) -> None:
    graph = next((copied / "export" / "openvino").glob("*.bin"))
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    (availability,) = [row for row in filled(copied)["claim"] if row.item.number == "43"]
    assert availability.state == "altered"


def test_another_setting_is_another_statement_and_another_fingerprint(copied: Path) -> None:
    edited(copied / "manifest.json", lambda found: found["config"].update(label_smoothing=0.25))
    rows, before = filled(copied), filled(REFERENCE)
    assert "label smoothing 0.25" in said(rows)
    assert rows["facts"][0].statements != before["facts"][0].statements


def test_what_is_missing_is_a_gap(copied: Path, tmp_path: Path) -> None:
    (copied / "gate.npz").unlink()
    shutil.rmtree(copied / "evaluation")
    rows = {row.item.asks: row for row in filled(copied)["annex-iv"]}
    assert rows["assessment of human oversight (Article 14)"].state == "gap"
    assert "gate.npz" in rows["assessment of human oversight (Article 14)"].gaps[0]
    assert rows["bias that may hurt persons, and gaps in the data (Article 10)"].state == "gap"
    bare = drawn_run.write(tmp_path / "drawn", temperature=None)
    assert {row.state for row in filled(bare)["facts"]} >= {"answered", "gap"}


def test_every_checklist_has_gaps_or_work_for_people_named() -> None:
    rows = filled(REFERENCE)
    for checklist in (MODEL_FACTS, ANNEX_IV, CLAIM):
        assert {row.state for row in rows[checklist.key]} & {"gap", "partly", "people"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found["href"]] if tag == "a" else []
        self.ids += [found["id"]] if "id" in found else []


def test_the_page_has_every_item_and_links_that_lead_somewhere(copied: Path) -> None:
    edited(copied / "manifest.json", lambda found: found.update(licence="<script>alert(1)</script>"))
    path = copied / "evaluation" / "dossier.html"
    counts = write_dossier(path, Run.open(copied))
    text, page = path.read_text(), _Page()
    page.feed(text)
    assert sum(counts.values()) == sum(len(checklist.items) for checklist in ALL)
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (path.parent / unquote(link)).is_file()
    assert "<script>" not in text
    assert "Not a medical device" in text
    assert "no conformity" in re.sub(r"\s+", " ", text)


def test_the_command_says_where_the_page_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(REFERENCE), "--output", str(tmp_path / "deep" / "page.html")]) == 0
    said = capsys.readouterr()
    assert "answered from the run's files" in said.out + said.err
    assert (tmp_path / "deep" / "page.html").is_file()
