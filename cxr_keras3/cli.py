"""The commands under one name: `cxr predict film.png` is `python -m cxr_keras3.predict film.png`.

A package adds a command by an entry point of the group `cxr_keras3.commands`, whose object is a function that takes the
arguments and returns an exit code.
"""

import ast
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.base.version import __version__

GROUP = "cxr_keras3.commands"
DISCLAIMER = "Not a medical device: for research only."


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names."""
    commands = {command.name: command for command in sorted(entry_points(group=GROUP), key=lambda each: each.name)}
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(_help(commands))
        return 0
    if name == "--version":
        sys.stdout.write(f"cxr_keras3 {__version__}\n")
        return 0
    if name not in commands:
        raise UserError(f"the command must be one of {', '.join(commands)}; received {name!r}")
    run: object = commands[name].load()
    if not callable(run):
        raise TypeError(f"the entry point {name} must be a function, it is {run!r}")
    return int(run(rest))


def _help(commands: Mapping[str, EntryPoint]) -> str:
    rows = [f"  {name:<12}{_summary(command.module)}" for name, command in commands.items()]
    return "\n".join(["usage: cxr COMMAND ...", "", *rows, "", "cxr COMMAND --help says more of each.", DISCLAIMER, ""])


def _summary(module: str) -> str:
    """The first line of a module's docstring, read without importing it: some take a second."""
    package, *parts = module.split(".")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return ""
    path = Path(found.submodule_search_locations[0], *parts).with_suffix(".py")
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.splitlines()[0] if said else ""


def run() -> None:
    """The console script `cxr`."""
    run_command(main)


if __name__ == "__main__":
    run()
