"""Exporting a run to another format, checked against the Keras model on real images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_keras3 import images
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import exporting
from cxr_keras3.training import finishing

MIN_IMAGES = 8


def export(run: Run, format_name: str, *, files: Sequence[Path] | None, data_dir: Path | None) -> None:
    """Exports a run, and says how near the export comes to the model. Keras must run on TensorFlow.

    Args:
        run: The run.
        format_name: A key of `exporting.FORMATS`.
        files: Films to compare on; the validation split of the run's dataset when None.
        data_dir: Folder of built datasets; TFDS's default when None.

    Raises:
        UserError: Where the run is not one's own, or the export differs from the model.
    """
    run.require_own("an export is written into the run's folder")
    films, source = decoded(files) if files else finishing.validation_films(run, data_dir)
    found = exporting.export(run, format_name, films=films, source=source)
    for precision, agreement in (("float32", found.float32), ("bfloat16", found.bfloat16)):
        if agreement is not None:
            progress.say(
                f"{precision} against Keras on {found.images} images ({source}): same class {agreement.top1:.2%}, "
                f"probabilities differ by {agreement.probabilities_mean:.1e} on average and "
                f"{agreement.probabilities_largest:.1e} at most"
            )
    if found.bfloat16 is not None:
        verdict = "is" if found.bfloat16.decides_alike else "is not"
        progress.say(f"bfloat16 {verdict} near enough to be used")
    progress.say(f"export: {run.export_folder(format_name)}")


def decoded(files: Sequence[Path]) -> tuple[np.ndarray, str]:
    """Canonical films of files to compare on, and where they come from, in words."""
    if len(files) < MIN_IMAGES:
        raise UserError(f"--images must name at least {MIN_IMAGES} films to compare on, received {len(files)}")
    films = [images.canonical(images.decode(file).pixels) for file in files]
    return np.stack(films), "files named with --images"
