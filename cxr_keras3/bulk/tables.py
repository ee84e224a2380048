"""The tables that bulk scoring writes: Parquet parts in two folders, each part whole or not there at all.

<root>/run.json                what made the rows
<root>/scored/part-….parquet   films that were scored: the columns of predict's table after the key
<root>/rejects/part-….parquet  files that were not: key, file, reject_reason and what else is known
<root>/drift.json              how far the scored films differ from those that the run was validated on
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.bulk.listing import is_uri
from cxr_keras3.serving import results

TABLES = SCORED, REJECTS = "scored", "rejects"
RUN, LOCK, DRIFT = "run.json", "lock", "drift.json"
SCHEMA_VERSION = 2
REJECT_COLUMNS = ("key", "file", "reject_reason", "warnings", "model", "version", "sop_instance_uid")


@dataclass(frozen=True)
class Origin:
    """What made all the rows below a root.

    Attributes:
        schema_version: Of the tables.
        model: The run's name.
        fingerprint: Of the run, see `cxr_keras3.run.folder.Run.fingerprint`.
        runtime: What computed, one of `serving.runtimes.RUNTIMES`.
        version: Of cxr_keras3.
    """

    schema_version: int
    model: str
    fingerprint: str
    runtime: str
    version: str


@dataclass(frozen=True)
class Done:
    """What the tables hold: the names of the films scored, and of the files refused."""

    scored: list[str]
    refused: list[str]

    def names(self) -> set[str]:
        """All of them.

        Raises:
            UserError: Where a name has two rows, which nothing here brings about.
        """
        found = {*self.scored, *self.refused}
        if len(found) < len(self.scored) + len(self.refused):
            raise UserError("the tables of --output must have one row for a film, they have more; name another")
        return found


@contextmanager
def claimed(root: str, origin: Origin) -> Iterator[None]:
    """Within it, this command alone writes below the root; in an object store nothing keeps others out.

    Raises:
        UserError: Where another command is at it, or what is there was made by something else.
    """
    if is_uri(root):
        _require_origin(root, origin)
        yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    rule = "one command at a time may write to --output"
    with files.exclusive(Path(root) / LOCK, rule=rule, remedy="wait, or name another --output"):
        _require_origin(root, origin)
        for torn in Path(root).glob("*/.*.partial"):
            shutil.rmtree(torn)
        yield


def _require_origin(root: str, origin: Origin) -> None:
    system, base = fsspec.core.url_to_fs(root)
    if not system.exists(f"{base}/{RUN}"):
        if not is_uri(root) and set(os.listdir(root)) - {LOCK}:  # noqa: PTH208 -- names suffice
            raise UserError(f"--output must be a new or empty folder, or one it wrote; {root} holds other files")
        publish(root, RUN, json.dumps(asdict(origin), indent=2).encode())
        return
    try:
        before = dict(json.loads(system.cat_file(f"{base}/{RUN}")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{root}/{RUN} is damaged ({type(error).__name__}); name another --output") from error
    for field in fields(Origin):
        was, now = before.get(field.name), getattr(origin, field.name)
        if was != now:
            raise UserError(f"{root} holds results of {field.name} {was!r}, not {now!r}; name another --output")


def done(root: str) -> Done:
    """Reads what is there; only the column of names.

    Raises:
        UserError: Where a part is damaged.
    """
    return Done(*(_read(root, table, {"file": pa.string()}).column(0).to_pylist() for table in TABLES))


def measured(root: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances and abnormal scores of the films scored, (N,) each; films without a distance are left out.

    Raises:
        UserError: Where a part is damaged.
    """
    columns = {"distance": pa.float64(), "abnormal_score": pa.float64()}
    table = _read(root, SCORED, columns).drop_null()
    return tuple(table.column(name).to_numpy() for name in columns)


def _read(root: str, table: str, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """Columns of a table, by their types; without rows where it has no part."""
    system, base = fsspec.core.url_to_fs(root)
    schema = pa.schema(columns)
    if not system.exists(f"{base}/{table}"):
        return schema.empty_table()
    system.invalidate_cache()
    try:
        parts = pyarrow.dataset.dataset(f"{base}/{table}", filesystem=system, format="parquet")
        found = parts.to_table(columns=list(columns)).cast(schema) if parts.files else schema.empty_table()
        found.validate(full=True)  # text may be no text
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{root}/{table} holds a part that is damaged ({error}); delete the part, or name another --output"
        ) from error
    return found


def part_name(names: Sequence[str]) -> str:
    """What a part with rows of these names is called; work that is done twice lands in the same place."""
    return f"part-{hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:32]}.parquet"


def write(root: str, part: str, records: Sequence[Mapping[str, Any]], *, class_names: Sequence[str]) -> tuple[int, int]:
    """Writes the records of a part.

    The refused come first: were the machine to stop between the two files, the rows of either are true and whole,
    and what has no row is done again.

    Args:
        root: Folder or URI of both tables.
        part: From `part_name`.
        records: As `Prediction.record` gives them, with "key".
        class_names: In the order of the columns.

    Returns:
        How many were scored, and how many refused.
    """
    key = pa.field("key", pa.string())
    columns = pa.schema([key, *results.parquet_schema(class_names)])
    refused = [record for record in records if not record["accepted"]]
    scored = [results.flat(record, class_names) for record in records if record["accepted"]]
    for table, rows, schema in (
        (REJECTS, refused, pa.schema([columns.field(name) for name in REJECT_COLUMNS])),
        (SCORED, scored, columns),
    ):
        if rows:
            content = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), content)
            publish(root, f"{table}/{part}", content.getvalue())
    return len(scored), len(refused)


def publish(root: str, name: str, content: bytes) -> None:
    """Writes a file that nobody can see half of: stores show whole objects, disks after a rename."""
    if is_uri(root):
        system, base = fsspec.core.url_to_fs(root)
        system.pipe_file(f"{base}/{name}", content)
        return
    target = Path(root) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(target, content)
