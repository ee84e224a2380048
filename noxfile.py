"""Everything one does with this project: `python -m nox -l` is the menu.

All sessions share one environment in `.venv`, which one can also activate to run the commands by hand.
"""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests", "lint", "typecheck", "build"]
nox.options.reuse_venv = "yes"

QUICKSTART_DATA = Path("runs") / "quickstart-data"
QUICKSTART_RUN = Path("runs") / "quickstart"


def _install(session: nox.Session, *extras: str) -> None:
    target = f".[{','.join(extras)}]" if extras else "."
    session.install("--editable", target, "--constraint", "constraints.txt")


@nox.session(venv_location=".venv")
def quickstart(session: nox.Session) -> None:
    """See it work: synthetic images, build, train on JAX, evaluate, predict. Five minutes on two cores."""
    _install(session)
    for folder in (QUICKSTART_DATA, QUICKSTART_RUN):
        shutil.rmtree(folder, ignore_errors=True)
    database, datasets, run = QUICKSTART_DATA / "database", QUICKSTART_DATA / "datasets", QUICKSTART_RUN
    film = database / "COVID-19_Radiography_Dataset" / "COVID" / "images" / "COVID-phantom-1.png"
    for command in (
        f"python -m tfds_cxr.phantom {database} --per-class 250 --seed 0",
        f"tfds build tfds_cxr --manual_dir {database} --data_dir {datasets}",
        f"python -m cxr_keras3.train --backend jax --preset quickstart --data-dir {datasets} --run-dir {run}",
        f"python -m cxr_keras3.evaluate {run} --split validation --data-dir {datasets} --output {run}/validation",
        f"python -m cxr_keras3.predict --model {run} {film}",
    ):
        session.run(*command.split())
    session.log("All of this was on synthetic images: it shows that the program works, not how well it diagnoses.")
    session.log(f"The run: {run}   Its report: {run / 'evaluation' / 'report.html'}   Serve it: python -m nox -s demo")


@nox.session(venv_location=".venv", default=False)
def demo(session: nox.Session) -> None:
    """Serve the web page on the quickstart's model, or on another: nox -s demo -- --model RUN."""
    _install(session)
    session.run("python", "-m", "demo", *(session.posargs or ["--model", os.fspath(QUICKSTART_RUN)]))


@nox.session(venv_location=".venv")
def tests(session: nox.Session) -> None:
    """Run the tests, one process a backend: all on JAX, what Keras computes on TensorFlow as well."""
    _install(session, "dev")
    for backend, files in (("jax", ["tests"]), ("tensorflow", ["tests/test_classifier.py", "tests/test_training.py"])):
        session.run("python", "-m", "pytest", *(session.posargs or files), env={"KERAS_BACKEND": backend})


@nox.session(venv_location=".venv")
def lint(session: nox.Session) -> None:
    """Check style, imports and layers."""
    _install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session(venv_location=".venv")
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session, "dev")
    session.run("mypy")


@nox.session(venv_location=".venv")
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive into dist/."""
    _install(session, "dev")
    session.run("python", "-m", "build", "--outdir", "dist")


@nox.session(venv_location=".venv", default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure speed, ours against named baselines in the same run."""
    _install(session, "dev")
    for script in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", os.fspath(script), *session.posargs)
