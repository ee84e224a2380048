"""Reading arrays that are kept as an npz file, by whoever wrote it."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cxr_keras3.base.errors import UserError


def read(path: Path, *, kind: str, remedy: str) -> dict[str, np.ndarray]:
    """Reads all arrays of a file that `numpy.savez` wrote.

    It writes them as they are. So a file whose arrays are larger than itself is none of its, and is not inflated.

    Args:
        path: The file.
        kind: What it must be, for the error: "a gate".
        remedy: What to do where it is not.

    Raises:
        UserError: Where it is damaged, compressed, or holds other things than arrays of numbers.
    """
    try:
        return _arrays(path)
    except Exception as error:  # damaged headers make zipfile and NumPy raise almost anything, TokenError among it
        raise UserError(f"{path} is not {kind} ({type(error).__name__}: {error}); {remedy}") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its arrays are larger than the file")
        file.seek(0)
        with np.load(file, allow_pickle=False) as content:
            return {name: _array(content[name]) for name in content.files}


def require(found: Mapping[str, np.ndarray], expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Refuses arrays of other kinds or shapes, and numbers without end.

    Args:
        found: From `read`.
        expected: Name to kind, as `dtype.kind` has it, and shape.

    Raises:
        KeyError: Where one is missing.
        ValueError: Where one is another.
    """
    for name, (kind, shape) in expected.items():
        array = found[name]
        if array.dtype.kind != kind or array.shape != shape or (kind == "f" and not np.isfinite(array).all()):
            raise ValueError(f"{name} must be of kind {kind} and shape {shape}, it is of {array.dtype} {array.shape}")


def _array(found: np.ndarray | bytes) -> np.ndarray:
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biufU":
        raise ValueError("it holds something else than numbers")
    return found
