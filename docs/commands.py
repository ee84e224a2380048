"""The commands of this project and their parsers, for the reference and for the test of the examples."""

import argparse
import importlib
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parent.parent
PACKAGES = ("tfds_cxr", "cxr_keras3", "demo")


class _Captured(BaseException):  # no command is to handle it
    pass


def names() -> list[str]:
    """The modules that are run with `python -m`, such as cxr_keras3.predict, package by package."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    # Commands end so; cxr_keras3.cli, which hands over to them and has no arguments of its own, does not.
    found = [path for path in files if path.read_text(encoding="utf-8").endswith("\n    run_command(main)\n")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for path in found]


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command makes, caught as it begins to read its arguments."""
    package = ROOT / command.replace(".", "/")
    module = importlib.import_module(f"{command}.__main__" if package.is_dir() else command)
    caught: list[argparse.ArgumentParser] = []

    def capture(parser: argparse.ArgumentParser, *_: object) -> None:
        caught.append(parser)
        raise _Captured

    with mock.patch.object(argparse.ArgumentParser, "parse_args", capture):
        try:
            module.main([])
        except _Captured:
            (parser,) = caught
            return parser
    raise RuntimeError(f"{command} reads its arguments without a parser")
