"""Filling a run folder: one command at a time, with the settings it began with, until nothing is left to do."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import EVALUATION, GATE, LOCK, MANIFEST, METRICS, SETTINGS


def require_unfinished(folder: Path) -> None:
    """Refuses to train into a folder that holds a finished run.

    Raises:
        UserError: Where it does.
    """
    if (folder / MANIFEST).exists():
        raise UserError(f"--run-dir must not hold a finished run, {folder} does; name another or delete it")


def is_complete(folder: Path) -> bool:
    """Whether nothing is left to do for a training command: the run is trained, evaluated and ready to serve.

    An evaluation writes its metrics last of all its files.
    """
    return all((folder / name).exists() for name in (MANIFEST, f"{EVALUATION}/{METRICS}", GATE))


@contextmanager
def claimed(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Holds a run folder for one training, and sees to it that a continued one has the settings it began with.

    Args:
        folder: Made where missing.
        settings: What decides the outcome, as JSON can hold it; written at the first time.

    Raises:
        UserError: Where another command holds the folder, or the folder's training began with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rule = "only one command may train in a run folder"
    with files.exclusive(folder / LOCK, rule=rule, remedy="wait, or name another --run-dir"):
        begun = folder / SETTINGS
        if begun.exists():
            before = files.read_json(
                begun, rule="must hold the settings that a training began with", remedy="name another --run-dir"
            )
            _require_same_settings(before if isinstance(before, dict) else {}, settings, folder)
        else:
            files.write_json(begun, settings)
        yield


def _require_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    now = json.loads(json.dumps(now))  # as it would come back
    changed = [
        f"{key} {before.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise UserError(
            f"a continued training must have the settings it began with, {folder} has others: {'; '.join(changed)}; "
            "give the same, or name another --run-dir"
        )
