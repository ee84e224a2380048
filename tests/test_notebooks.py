"""The notebooks as they are kept: clean, for any machine, with commands that exist. The docs session runs them."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_docs import check_command, split_commands

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_some() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"audit", "real_database"}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_clean_and_starts_by_installing_what_is_missing(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    for cell in content["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
    first = code_of(notebook)[0]
    assert first.index('find_spec("cxr_keras3") is None') < first.index("%pip install")
    assert not any(f'"{place}' in notebook.read_text() for place in ("/home", "/root", "/work", "/content"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_s_commands_are_understood(notebook: Path) -> None:
    shell = [cell for cell in code_of(notebook) if cell.startswith("%%bash\n")]
    assert shell
    for cell in shell:
        assert "set -e" in cell  # else a command that fails in the middle goes unseen
        lines = [line.split(" 2>")[0] for line in cell.splitlines() if line.startswith(("python ", "tfds "))]
        assert lines
        for line in lines:
            for command in split_commands(line):
                check_command(command, notebook.name)
