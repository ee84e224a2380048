"""What the tests share: a synthetic database, the dataset built from it, and a run trained on that."""

import tests.environment  # noqa: F401 -- before anything imports Keras

# isort: split

import contextlib
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr_keras3.base.errors import run_command
from cxr_keras3.training.config import TrainingConfig
from tests import demo_server
from tfds_cxr import phantom

ROOT = Path(__file__).parent.parent
SHARED_DATA = Path(os.environ.get("CXR_SHARED_DATA", ROOT.parent / "shared" / "data"))
IMAGES_PER_CLASS = 30
TINY = TrainingConfig(
    backbone="mobilenet_025",
    weights="none",
    image_size=64,
    head_epochs=2,
    fine_tune="last_stage",
    fine_tune_epochs=1,
    batch_size=16,
)

LONGEST = ("test_devices", "test_commands", "test_docs", "test_segmenter", "test_ensemble", "test_export")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files that take longest, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real images at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def database_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a synthetic database in the Kaggle layout; not to be changed."""
    folder = tmp_path_factory.mktemp("download") / "database"
    phantom.write_database(folder, per_class=IMAGES_PER_CLASS, seed=0)
    return folder


@pytest.fixture(scope="session")
def data_dir(database_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TFDS data folder with the dataset built from `database_dir`."""
    from cxr_keras3.backend import selection

    selection.select(os.environ["KERAS_BACKEND"])  # as every command does before it imports what needs Keras
    from cxr_keras3.training import data

    folder = tmp_path_factory.mktemp("tfds")
    data.prepare(data_dir=folder, manual_dir=database_dir)
    return folder


@pytest.fixture(scope="session")
def run_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, trained briefly and evaluated on the synthetic dataset."""
    from cxr_keras3 import evaluation
    from cxr_keras3.run.folder import EVALUATION, Run
    from cxr_keras3.training import runs
    from tfds_cxr import reading

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    builder = reading.find(data_dir)
    runs.train(TINY, builder=builder, run_dir=folder, cache_dir=folder.parent / "cache")
    evaluation.evaluate(Run.open(folder), builder, split="test", output_dir=folder / EVALUATION)
    return folder


@pytest.fixture(scope="session")
def film(database_dir: Path) -> Path:
    """One synthetic film."""
    return database_dir / "COVID-19_Radiography_Dataset" / "COVID" / "images" / "COVID-phantom-1.png"


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn run with an evaluation and a gate that knows phantoms; a second one lies beside it as `other`."""
    import numpy as np

    from tests import drawn_run
    from tfds_cxr.labels import LABELS

    folder = tmp_path_factory.mktemp("demo") / "drawn"
    films = np.stack([phantom.draw(LABELS[index % 4], seed=3, index=index)[0] for index in range(48)])[..., np.newaxis]
    for each in (folder, folder.with_name("other")):
        drawn_run.write(each, synthetic=True)
        drawn_run.write_evaluation(each, synthetic=True)
        drawn_run.write_gate(each, films)
    return folder


@pytest.fixture(scope="session")
def demo(demo_run: Path) -> Iterator[demo_server.Served]:
    """`python -m demo` on two drawn runs, as a user starts it."""
    with demo_server.served(demo_run, "--model", demo_run.with_name("other")) as running:
        yield running


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python …` as a user does, in a process of its own."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def run_here(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE …` in this process, where it ends early: its imports would take ten seconds of a core."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        run_command(importlib.import_module(module).main, [*map(str, arguments)])
    return subprocess.CompletedProcess(arguments, end.value.code, out.getvalue(), err.getvalue())
