"""Every command and every Python example in the documentation is run, or checked where it cannot be.

A code block's info string holds its language and its rule, as in "sh run":

- run: run in a folder with films and a run folder that is drawn, not trained;
- trained: run in a folder with a run that is trained and the dataset it was trained on;
- check: not run, since it takes Kaggle, another machine or minutes. A command's arguments are parsed by the command's
  own parser, Python is compiled and what it imports is looked up.

A block "text output" below one that is run must be what that one prints.
"""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs import commands
from tests import drawn_run, image_files
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNNABLE = {"sh", "python"}
PLAIN = {"ini", "json", "text", "toml", "yaml"}
RULES = {"run", "trained", "check"}
OTHERS_PROGRAMS = {
    ".",
    "cd",
    "deploy/train-tpu-pod.sh",
    "docker",
    "git",
    "hf",
    "rsync",
    "sbatch",
    "scp",
    "tensorboard",
    "unzip",
}
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "tfds_cxr" / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "api" not in path.relative_to(ROOT).parts
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    rule: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page but for Sphinx's directives."""
    found, opened, lines = [], None, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.fullmatch(r"\s*```\s*(\S*)\s*(.*)", line)
        if fence and opened is None:
            opened, lines = (number, fence[1], fence[2].strip()), []
        elif fence and opened is not None:
            if not opened[1].startswith("{"):
                found.append(Block(page, *opened, textwrap.dedent("\n".join(lines))))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{page}: a block is not closed"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
TO_CHECK = [block for block in BLOCKS if block.language in RUNNABLE and block.rule in ("check", "")]
TO_RUN = sorted({(block.page, block.rule) for block in BLOCKS if block.rule in ("run", "trained")})


def test_every_block_has_a_rule() -> None:
    for block, before in zip(BLOCKS, [None, *BLOCKS], strict=False):
        if block.language in RUNNABLE:
            # The README is read on its own, where a rule would puzzle; its commands are checked.
            assert block.rule in RULES or block.page.name == "README.md", f"{block.place} has no rule"
        else:
            assert block.language in PLAIN, f"{block.place}: of no known kind"
            assert block.rule in ("", "output"), block.place
        if block.rule == "output":
            assert getattr(before, "rule", "") in ("run", "trained"), f"{block.place}: of what?"


@pytest.mark.parametrize("block", TO_CHECK, ids=lambda block: block.place)
def test_a_block_that_is_not_run_would_start(block: Block) -> None:
    if block.language == "python":
        check_python(block)
        return
    for line in block.text.replace("\\\n", " ").splitlines():
        for command in split_commands(line):
            check_command(command, block.place)


def check_python(block: Block) -> None:
    extras = str(PROJECT["optional-dependencies"])
    for node in ast.walk(ast.parse(block.text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            assert importlib.util.find_spec(name) or name in extras, f"{block.place}: nothing is called {name}"


def split_commands(line: str) -> list[list[str]]:
    """The commands of a line, without what only the shell sees."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&<>")
    reader.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in reader:
        if set(word) <= set("|&"):
            found.append([])
        else:
            found[-1].append(word)
    return [command for command in found if command]


def check_command(words: list[str], place: str) -> None:
    while words and (words[0] == "export" or re.fullmatch(r"[A-Z_]+=.*", words[0])):
        words = words[1:]
    match words:
        case []:
            pass
        case ["python", "-m", "nox" | "pip" | "venv" as tool, *rest]:
            check_tool(tool, rest)
        case ["python", "-m", "pytest", *rest]:
            assert all((ROOT / name).exists() for name in rest if name.endswith(".py")), place
        case ["python", "-m", module, *_] if module.startswith(("benchmarks.", "checks.", "tools.")):
            assert (ROOT / (module.replace(".", "/") + ".py")).exists(), place
        case ["python", "-m", module, *rest]:
            assert module in commands.names(), f"{place}: {module} is no command"
            parses(commands.parser_of(module).parse_args, rest, place)
        case ["tfds", *rest]:
            from tensorflow_datasets.scripts.cli import main as cli

            parses(cli._parse_flags, ["tfds", *rest], place)
        case [program, *_]:
            assert program in OTHERS_PROGRAMS, f"{place}: it is not known how to check {program}"


def parses(parse, arguments: list[str], place: str) -> None:
    code = None
    try:
        parse(arguments)
    except SystemExit as end:
        code = end.code
    assert code in (0, None), f"{place}: {arguments} are not understood"  # 0: --help and the like


def check_tool(tool: str, arguments: list[str]) -> None:
    if tool == "pip":
        for extras in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), extras
    if tool == "nox" and "-s" in arguments:
        tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
        sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
        named = arguments[arguments.index("-s") + 1 :]
        named = named[: named.index("--")] if "--" in named else named
        assert set(named) <= sessions, named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_a_sentence_exist(page: Path) -> None:
    for named in re.findall(r"`python -m ([^`]+)`", page.read_text(encoding="utf-8")):
        module, *words = named.split()
        flags = [word for word in words if word.startswith("--")]
        if module in commands.names():
            assert set(flags) <= set(commands.parser_of(module)._option_string_actions), f"{page}: {named}"
        elif module.startswith(("benchmarks.", "checks.", "tools.")):
            source = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
            assert all(f'"{flag}"' in source for flag in flags), f"{page}: {named}"
        else:
            assert module in ("nox", "pip", "pytest", "timeit"), f"{page}: {named}"


def test_a_check_can_fail() -> None:
    with pytest.raises(AssertionError):
        check_command(["python", "-m", "cxr_keras3.predict", "--no-such-flag", "film.png"], "here")
    with pytest.raises(AssertionError):
        check_command(["python", "-m", "cxr_keras3.diagnose"], "here")
    with pytest.raises(AssertionError):
        check_tool("nox", ["-s", "quickstart", "slowstart"])


@pytest.mark.parametrize(("page", "rule"), TO_RUN, ids=[f"{page.relative_to(ROOT)}-{rule}" for page, rule in TO_RUN])
def test_a_page_s_examples_run(page: Path, rule: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = furnish(tmp_path, rule, request)
    printed, previous = "", ""
    for block in blocks_of(page):
        if block.rule == rule:
            shell = ["bash", "-euo", "pipefail", "-c"]
            command = [*(shell if block.language == "sh" else (sys.executable, "-c")), block.text]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"
            printed = done.stdout
        elif block.rule == "output" and previous == rule:
            assert squeezed(printed) == squeezed(block.text), block.place
        previous = block.rule


def squeezed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _twelve_bits(film: Path) -> np.ndarray:
    """A film as a detector stores it, uint16."""
    with Image.open(film) as picture:
        return np.asarray(picture.resize((400, 480))).astype(np.uint16) * 16


def furnish(folder: Path, rule: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Puts what the pages name into a folder; returns the environment to run their blocks in."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    films = drawn_run.write_films(folder / "films", 12)
    shutil.copy(films[5], folder / "film.png")
    (folder / "study.dcm").write_bytes(image_files.dicom(_twelve_bits(films[5]), bits=12))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(films[0], "one.png")
    (folder / "runs").mkdir()
    if rule == "run":
        drawn_run.write(folder / "runs" / "mine")
        return environment
    shutil.copytree(request.getfixturevalue("run_dir"), folder / "runs" / "mine")
    database = request.getfixturevalue("database_dir") / "COVID-19_Radiography_Dataset"
    for label in ("COVID", "Normal"):
        for file in sorted((database / label / "images").iterdir())[:6]:
            (folder / "own" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / "own" / label)
    return environment | {"TFDS_DATA_DIR": str(request.getfixturevalue("data_dir"))}
