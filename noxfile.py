"""Everything one does with this project: `python -m nox -l` is the menu.

All sessions share one environment in `.venv`, which one can also activate to run the commands by hand.
"""

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests", "clusters", "backends", "lint", "typecheck", "docs", "build"]
nox.options.default_venv_backend = "none"  # the sessions share .venv, which nox cannot be told

VENV = Path(".venv").absolute()
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
QUICKSTART_DATA = Path("runs") / "quickstart-data"
QUICKSTART_RUN = Path("runs") / "quickstart"
REFERENCE_RUN = Path("runs") / "reference"
CLUSTERS, COMPARISON = "tests/bulk/test_score.py", "tests/training/test_backends.py"


def _install(session: nox.Session, *extras: str) -> None:
    """Makes the shared environment and installs the project into it, pinned."""
    if not VENV.exists():
        session.run(sys.executable, "-m", "venv", os.fspath(VENV), external=True)
    target = f".[{','.join(extras)}]" if extras else "."
    _run(session, "python -m pip install --quiet --upgrade pip")
    _run(session, f"python -m pip install --progress-bar on --editable {target} --constraint constraints.txt")


def _run(session: nox.Session, command: str, *arguments: str, **environment: str) -> None:
    """Runs a command of the shared environment; `arguments` may hold blanks."""
    program, *rest = command.split()
    path = os.pathsep.join([os.fspath(BIN), os.environ["PATH"]])
    session.run(os.fspath(BIN / program), *rest, *arguments, env={"PATH": path, **environment}, external=True)


@nox.session
def quickstart(session: nox.Session) -> None:
    """See it work: synthetic images, build, train on JAX, evaluate, predict. Five minutes on two cores."""
    _install(session)
    for folder in (QUICKSTART_DATA, QUICKSTART_RUN):
        shutil.rmtree(folder, ignore_errors=True)
    database, datasets, run = QUICKSTART_DATA / "database", QUICKSTART_DATA / "datasets", QUICKSTART_RUN
    film = database / "COVID-19_Radiography_Dataset" / "COVID" / "images" / "COVID-phantom-1.png"
    for command in (
        f"python -m tfds_cxr.phantom {database} --per-class 200 --seed 0",
        f"tfds build tfds_cxr --manual_dir {database} --data_dir {datasets}",
        f"python -m cxr_keras3.train --backend jax --preset quickstart --data-dir {datasets} --run-dir {run}",
        f"python -m cxr_keras3.evaluate {run} --split validation --data-dir {datasets} --output {run}/validation",
        f"python -m cxr_keras3.predict --model {run} {film}",
    ):
        _run(session, command)
    session.log("All of this was on synthetic images: it shows that the program works, not how well it diagnoses.")
    session.log(f"The run: {run}   Its report: {run / 'evaluation' / 'report.html'}   Serve it: python -m nox -s demo")


def _install_chromium(session: nox.Session) -> None:
    """Installs Debian's Chromium for the browser tests where it is missing and may be had; else they are skipped."""
    if shutil.which("chromium") or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    for command in ("apt-get update -q", "apt-get install -y -q --no-install-recommends chromium"):
        session.run(*command.split(), external=True, success_codes=[0, 100])  # 100: apt could not


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Serve the web page on the quickstart's model, or on another: nox -s demo -- --model RUN."""
    _install(session)
    _run(session, "python -m demo", *(session.posargs or ["--model", os.fspath(QUICKSTART_RUN)]))


@nox.session(default=False)
def reference(session: nox.Session) -> None:
    """Train the shipped model again, half an hour on two cores: nox -s reference -- --manual-dir FOLDER.

    The dataset goes where TFDS puts it; set TFDS_DATA_DIR for another place.
    """
    _install(session)
    _run(
        session,
        f"python -m cxr_keras3.train --backend jax --preset reference --run-dir {REFERENCE_RUN}",
        *session.posargs,
    )
    _run(session, f"python -m tools.make_reference {REFERENCE_RUN}")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on JAX; or those that are named: nox -s tests -- tests/run."""
    _install(session, "dev")
    _install_chromium(session)
    if session.posargs:
        _run(session, "python -m pytest", *session.posargs, KERAS_BACKEND="jax")
        return
    # A test keeps one core busy; the tests of a file share what they make.
    elsewhere = f"--ignore {CLUSTERS} --ignore {COMPARISON}"
    in_two = "--numprocesses 2 --dist loadfile --no-loadscope-reorder"
    _run(session, f"python -m pytest {in_two} {elsewhere}", KERAS_BACKEND="jax")


@nox.session
def clusters(session: nox.Session) -> None:
    """Run the tests that start Ray clusters, each of which wants the cores for itself."""
    _install(session, "dev")
    _run(session, f"python -m pytest {CLUSTERS}", KERAS_BACKEND="jax")


@nox.session
def backends(session: nox.Session) -> None:
    """Run the tests of what Keras computes, on TensorFlow and on torch, and compare the three."""
    _install(session, "dev", "torch")
    computing = "tests/model/test_classifier.py tests/training/test_training.py"
    for backend in ("tensorflow", "torch"):
        _run(session, f"python -m pytest --numprocesses 2 --dist loadfile {computing}", KERAS_BACKEND=backend)
    _run(session, f"python -m pytest {COMPARISON}", KERAS_BACKEND="jax")


@nox.session(default=False)
def hub(session: nox.Session) -> None:
    """Test KerasHub's backbones; installs the extra, which brings a second build of TensorFlow."""
    _install(session, "dev", "hub")
    _run(session, "python -m pytest tests/model -m", "slow", "-k", "keras_hub", KERAS_BACKEND="jax")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, imports and layers."""
    _install(session, "dev")
    _run(session, "ruff check .")
    _run(session, "ruff format --check .")
    _run(session, "lint-imports")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session, "dev")
    _run(session, "mypy")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive into dist/."""
    _install(session, "dev")
    _run(session, "python -m build --quiet --outdir dist")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write deploy/requirements-*.txt again: the images' packages at the pinned versions, each with its hashes."""
    _install(session)
    _run(session, "python -m pip install --quiet uv")
    options = "--no-emit-index-url --no-header --no-annotate --python-version 3.11 --upgrade --quiet"
    options += " --constraint constraints.txt --generate-hashes --python-platform x86_64-manylinux_2_28"
    for group in ("serving", "score"):
        output = f"--output-file deploy/requirements-{group}.txt"
        _run(session, f"uv pip compile --group pyproject.toml:{group} {options} {output}")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/ and run its notebooks; warnings are errors. Needs no network."""
    _install(session, "docs", "pacs", "ray")
    shutil.rmtree("docs/reference/api", ignore_errors=True)  # of modules that may be gone
    _run(session, "python -m sphinx --fail-on-warning --keep-going --fresh-env --builder html docs site")


@nox.session(default=False)
def checks(session: nox.Session) -> None:
    """Check what takes long to be shown right, and say what held and what fell: nox -s checks -- gate RUN."""
    if not session.posargs:
        names = sorted(path.stem for path in Path("checks").glob("*.py"))
        session.error(f"name a check: nox -s checks -- NAME …, one of {', '.join(names)}")
    _install(session, "dev")
    name, *arguments = session.posargs
    _run(session, f"python -m checks.{name}", *arguments)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure speed against named baselines in one run: nox -s benchmarks -- building FOLDER."""
    _install(session, "dev", "benchmarks")
    name, *arguments = session.posargs or ["convolutions"]
    _run(session, f"python -m benchmarks.{name}", *arguments)
