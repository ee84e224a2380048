"""The examples in the docstrings of public functions print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT


def _modules() -> list[str]:
    files = [path for package in ("cxr_keras3", "tfds_cxr", "demo") for path in (ROOT / package).rglob("*.py")]
    return sorted(_name(path) for path in files if ">>> " in path.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", _modules())
def test_examples_print_what_they_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed


def test_what_is_used_most_has_an_example() -> None:
    assert {
        "cxr_keras3",
        "cxr_keras3.images.decoding",
        "cxr_keras3.run.calibration",
        "cxr_keras3.serving.predictor",
        "cxr_keras3.statistics.metrics",
        "tfds_cxr.grouping",
        "tfds_cxr.phantom.database",
    } <= set(_modules())
