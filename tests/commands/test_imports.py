"""Commands answer before anything heavy is imported, and the backend can still be chosen."""

import subprocess
import sys

import pytest

from docs import commands

HEAVY = ("keras", "jax", "tensorflow", "torch", "keras_cv", "gradio", "sklearn", "tensorflow_datasets")
LIGHT_MODULES = (
    "cxr_keras3",
    "cxr_keras3.train",
    "cxr_keras3.ensemble",
    "cxr_keras3.evaluate",
    "cxr_keras3.predict",
    "cxr_keras3.export",
    "cxr_keras3.score",
    "cxr_keras3.push",
    "cxr_keras3.serve",
    "cxr_keras3.serving",
    "cxr_keras3.run.gate",
    "cxr_keras3.cli",
    "cxr_keras3.run.folder",
    "cxr_keras3.run.metrics",
    "cxr_keras3.images",
    "demo.__main__",
    "demo.feedback",
    "demo.quality",
    "demo.launch",
    "demo.server",
    "demo.reading",
    "demo.worklist",
    "tfds_cxr.database",
    "tfds_cxr.phantom",
)


def heavy_modules_after(statement: str) -> list[str]:
    code = f"import sys; {statement}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_import_is_light(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_the_check_can_fail() -> None:
    assert heavy_modules_after("import sklearn") == ["sklearn"]


@pytest.mark.parametrize("module", commands.names())
def test_help_needs_no_backend(module: str, run_python) -> None:
    done = run_python("-m", module, "--help", KERAS_BACKEND="no-such-backend")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_list_backbones_names_every_row(run_python) -> None:
    from cxr_keras3.model.backbone_table import BACKBONES

    done = run_python("-m", "cxr_keras3.train", "--list-backbones", KERAS_BACKEND="no-such-backend", COLUMNS="160")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in BACKBONES)
