"""Which folders a training command fills, looked at before Keras is started, which takes seconds."""

import datetime as dt
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.filling import is_complete, require_unfinished
from cxr_keras3.run.folder import RUNS
from cxr_keras3.training.config import TrainingConfig
from tfds_cxr import database


def run_folders(run_dir: Path | None, config: TrainingConfig, *, seeds: int, manual_dir: Path | None) -> list[Path]:
    """The run folders of a training, one a seed.

    Args:
        run_dir: Where the run goes, or the folder of several; `runs/<date>-<backbone>` when None.
        config: How the first is trained.
        seeds: How many runs, at least 1.
        manual_dir: Folder with a copy of the database, where one was named.

    Raises:
        UserError: Where nothing is left to do in any, or the copy of the database is not there.
    """
    if manual_dir is not None:
        database.require_folder(manual_dir)
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, received {seeds}")
    folder = run_dir or RUNS / f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{config.backbone}"
    folders = [folder if seeds == 1 else folder / f"seed-{config.seed + number}" for number in range(seeds)]
    if all(map(is_complete, folders)):
        require_unfinished(folders[0])
    return folders
