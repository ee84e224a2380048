"""The demo's templates and static files, and what must be said of a run everywhere."""

from pathlib import Path

import jinja2

from cxr_keras3 import __version__
from cxr_keras3.report.templating import environment
from cxr_keras3.run.folder import Run

NOTICE = "Not a medical device. For research only; never decide on a patient's care by it."
STATIC = Path(__file__).parent / "static"
"""The page's own style sheet and scripts, served as they are."""
_ENVIRONMENT = environment("demo")
_ENVIRONMENT.globals |= {"notice": NOTICE, "version": __version__}


def page(name: str) -> jinja2.Template:
    """A template, whose values are all escaped: file names and DICOM fields come from strangers."""
    return _ENVIRONMENT.get_template(name)


def static(name: str) -> str:
    """A style sheet or script."""
    return (STATIC / name).read_text(encoding="utf-8")


def banners(run: Run) -> list[str]:
    """What a visitor must know before reading any answer of a run, a sentence each; most runs have none."""
    said = []
    if run.manifest.is_synthetic:
        said.append("Trained on synthetic images: what it says of a real film means nothing.")
    if run.metrics is None:
        said.append(
            "Never evaluated: nothing is known of how often it is right. "
            f"Run python -m cxr_keras3.evaluate on the run {run.name}."
        )
    elif run.metrics.audit.verdict == "FAIL":
        said.append("It failed its audit: its figures do not show that it sees disease. See “How good is it?”.")
    return said
