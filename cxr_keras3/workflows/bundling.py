"""Writing a bundle for a model server, checked on films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_keras3.base import progress
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import bundles
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

DRAWN = 4  # films of each class


def bundle(run: Run, kind: str, output: Path, *, files: Sequence[Path] | None) -> None:
    """Writes a bundle, and says what it was checked on.

    Args:
        run: The run.
        kind: A key of `bundles.KINDS`.
        output: Gets the bundle.
        files: Films to compare on; drawn ones when None.
    """
    if files:
        from cxr_keras3.workflows.exporting import decoded  # noqa: PLC0415 -- imports Keras

        films, source = decoded(files)
    else:
        drawn = [phantom.draw(label, seed=1, index=index)[0] for label in LABELS for index in range(DRAWN)]
        films, source = np.stack(drawn)[..., np.newaxis], "drawn films"
    bundles.write(run, kind, output, films=films)
    progress.say(f"bundle for {kind}: {output}; answers as the package does on {len(films)} {source}")
