"""Records: frozen dataclasses that are kept as JSON files, and checked when they are read."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def read(path: Path, kind: type[Record], *, version: int, remedy: str) -> Record:
    """Reads a record, and checks its version and the type of every field, however deep.

    Args:
        path: A JSON file.
        kind: A dataclass with a field `schema_version`.
        version: What `schema_version` must be.
        remedy: What to do where the file is not as it must be, for the error.

    Raises:
        UserError: Where the file cannot be read, is no JSON, or holds something else.
    """
    try:
        content = path.read_bytes()
        found = from_json(content)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} must be a {kind.__name__}, it is no JSON ({_first_line(error)}); {remedy}") from error
    if not isinstance(found, dict) or found.get("schema_version") != version:
        received = found.get("schema_version") if isinstance(found, dict) else "none"
        raise UserError(
            f"{path} must be a {kind.__name__} of schema version {version}, received {received!r}; {remedy}"
        )
    unknown = found.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise UserError(f"{path} must be a {kind.__name__}, it holds {', '.join(sorted(unknown))} too; {remedy}")
    try:
        return TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} must be a {kind.__name__}, {place}: {first['msg']}; {remedy}") from error


def write(path: Path, record: "DataclassInstance") -> None:
    """Writes a record whole or not at all."""
    files.write_json(path, dataclasses.asdict(record))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
