"""The state of a stage of training, written whole or not at all, from which it goes on bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3.base import arrays, files
from cxr_keras3.base.errors import UserError

_JOURNAL = "journal"


@dataclass(frozen=True)
class Checkpoint:
    """One stage between two epochs.

    Attributes:
        journal: What JSON can hold: the epochs so far, whether the stage is over.
        best: The weights of the best epoch so far, in the order of `model.weights`.
        state: All variables of model and optimizer, states of random generators included, in their order; none
            where the stage is over.
    """

    journal: Mapping[str, Any]
    best: list[np.ndarray]
    state: list[np.ndarray]


def save(path: Path, model: keras.Model | None, *, journal: Mapping[str, Any], best: list[np.ndarray]) -> None:
    """Writes a compiled model's state; a file that was there stays until the new one is complete.

    Args:
        path: The file.
        model: Whose state it is; None once a stage is over, when only its best weights count.
        journal: See `Checkpoint`.
        best: See `Checkpoint`.
    """
    variables = [] if model is None else _variables(model)
    arrays = {f"state_{index}": np.asarray(variable) for index, variable in enumerate(variables)}
    arrays |= {f"best_{index}": array for index, array in enumerate(best)}
    arrays[_JOURNAL] = np.frombuffer(json.dumps(dict(journal)).encode(), dtype=np.uint8)
    with files.replacing(path) as written:
        np.savez(written, allow_pickle=False, **arrays)


def read(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None where there is none.

    Raises:
        UserError: Where the file is damaged.
    """
    if not path.exists():
        return None
    remedy = "delete it to begin that stage of training anew"
    found = arrays.read(path, kind="a checkpoint", remedy=remedy)
    try:
        journal = json.loads(found[_JOURNAL].tobytes())
        best, state = (
            [found[f"{kind}{index}"] for index in range(sum(name.startswith(kind) for name in found))]
            for kind in ("best_", "state_")
        )
    except (ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is not a checkpoint ({type(error).__name__}); {remedy}") from error
    return Checkpoint(journal, best, state)


def restore(checkpoint: Checkpoint, model: keras.Model) -> None:
    """Gives a compiled model, its optimizer built, the state of the checkpoint.

    Raises:
        UserError: Where the checkpoint is of another model.
    """
    variables = _variables(model)
    if [tuple(array.shape) for array in checkpoint.state] != [tuple(variable.shape) for variable in variables]:
        raise UserError(
            "the checkpoint must be of this model, its variables have other shapes; use the version of "
            "cxr_keras3 that wrote it, or another --run-dir"
        )
    for variable, array in zip(variables, checkpoint.state, strict=True):
        variable.assign(array)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
