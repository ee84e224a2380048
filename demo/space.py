"""A folder that is a Hugging Face Space: the demo, to be shown to the world.

The packages' source lies beside `app.py`. They are on no index, and the hub installs `requirements.txt` before it
copies the folder, so that a wheel named there would not be found.
"""

import importlib
import importlib.metadata
import platform
import shutil
from pathlib import Path

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.report import texts
from cxr_keras3.run.collections import COLLECTIONS
from cxr_keras3.run.folder import ABNORMALITY, CALIBRATION, EVALUATION, GATE, MANIFEST, MODEL_CARD, Run
from demo.pages import page
from demo.standing import trained_on

PACKAGES = ("cxr_keras3", "tfds_cxr", "demo")
NEEDED = (
    "contourpy",
    "filelock",
    "jinja2",
    "matplotlib",
    "numpy",
    "openpyxl",
    "openvino",
    "pillow",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "rich",
    "scikit-learn",
    "scipy",
)
"""What the demo imports beside Gradio and what Gradio brings: pydantic, FastAPI and uvicorn, whose versions are bounded
by extras of Gradio that the hub installs, too."""
SHORT = "Sorts chest films, for research. Not a medical device."
"""At most 60 characters, as the hub asks."""
RUN = "run"
_FILES = (MANIFEST, CALIBRATION, ABNORMALITY, GATE, MODEL_CARD)
_APP = '''"""The demo as a Space of the Hugging Face hub. Not a medical device."""

import os

from cxr_keras3.base.errors import run_command
from demo.__main__ import main

if __name__ == "__main__":  # processes that decode films import this file, too
    arguments = ["--host", "0.0.0.0", "--port", os.environ.get("GRADIO_SERVER_PORT", "7860")]
    arguments += ["--allow-host", os.environ.get("SPACE_HOST", "localhost"), "--framed-by", "https://huggingface.co"]
    arguments += ["--banner", "This page is public: upload no patient's film."]
    run_command(main, [*arguments{model}])
'''


def write_space(run: Run, folder: Path) -> None:
    """Writes the folder.

    Args:
        run: What answers there. Of another than the reference model, what serves is copied, and its evaluation.
        folder: New or empty.

    Raises:
        UserError: Where the folder holds something, or the run has no export to OpenVINO.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--space must name a new or empty folder, {folder} is not; name another")
    if not run.export_folder("openvino").is_dir():
        raise UserError(
            f"a Space answers by OpenVINO, the run {run.name} has no export to it; "
            f"run python -m cxr_keras3.export {run.folder} --format openvino"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        source = Path(importlib.import_module(name).__path__[0])
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if not run.is_reference:
        for file in _serving(run):
            target = folder / RUN / file.relative_to(run.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    model = "" if run.is_reference else f', "--model", "{RUN}"'
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in NEEDED]
    files.write_text(folder / "README.md", _readme(run))
    files.write_text(folder / "requirements.txt", "\n".join(pins) + "\n")
    files.write_text(folder / "app.py", _APP.replace("{model}", model))
    files.write_text(folder / "LICENSE", _licence())
    # Files that are no text go where the hub wants them, also for those who push by Git.
    files.write_text(
        folder / ".gitattributes",
        "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in ("npz", "bin", "keras")),
    )


def _serving(run: Run) -> list[Path]:
    """What answers, and what says how good that is; without what trains on, and the report, which shows films."""
    folders = [folder for folder in (run.export_folder("openvino"), run.segmenter_folder) if folder]
    inside = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    measured = [path for name in (EVALUATION, COLLECTIONS) for path in sorted((run.folder / name).glob("*"))]
    figures = [path for path in measured if path.suffix in {".json", ".csv"}]
    return [*(path for name in _FILES if (path := run.folder / name).exists()), *inside, *figures]


def _licence() -> str:
    """The package's licence: of what is installed, or of the checkout, whose metadata have no copy of it."""
    installed = importlib.metadata.distribution("cxr_keras3").read_text("licenses/LICENSE")
    return installed or (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8")


def _readme(run: Run) -> str:
    audit = run.metrics.audit if run.metrics else None
    return page("space.md").render(
        run=run,
        sdk_version=importlib.metadata.version("gradio"),
        python_version=".".join(platform.python_version_tuple()[:2]),
        short=SHORT,
        trained_on=trained_on(run),
        operating_point=texts.operating_point(run.metrics),
        audit=audit,
        verdict_words=texts.VERDICTS[audit.verdict] if audit else "",
    )
