"""Tables of predictions, written row by row so that an interrupted command can be gone on with."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.base.tables import harmless, original
from cxr_keras3.serving.prediction import Prediction

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".jsonl", ".parquet")
PARQUET_ROWS = 4096  # in memory at a time


class Results:
    """A file of results, open for appending; use it as a context manager.

    Each row is on disk before the next is computed. Parquet has no rows to append to, so they are kept as
    JSON lines in a file beside it, `<name>.partial.jsonl`, which becomes the Parquet file at the end.

    Attributes:
        done: The files that already have their row.
        refused: File and reason of those that were not accepted, earlier ones included.
    """

    def __init__(self, path: Path, *, class_names: Sequence[str], model: str, resume: bool) -> None:
        """Opens the file.

        Args:
            path: Ends in one of `SUFFIXES`.
            class_names: In the order of the columns.
            model: The run's name, which the rows of an earlier command must bear too.
            resume: Go on with what an earlier command wrote, rather than refuse to touch it.

        Raises:
            UserError: Where the file exists and is not to be gone on with, is of another model or kind, or another
                command is writing to it.
        """
        require_suffix(path)
        self._path, self._class_names = path, tuple(class_names)
        self._rows = path.with_name(f"{path.name}.partial.jsonl") if path.suffix == ".parquet" else path
        self.done: set[str] = set()
        self.refused: list[tuple[str, str]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        existing = next((file for file in (path, self._rows) if file.exists()), None)
        if existing and not resume:
            raise UserError(f"--output must not exist yet, {existing} does; delete it, or add --resume to go on")
        rebuilt = path.suffix == ".parquet" and path.exists() and not self._rows.exists()
        if rebuilt:
            files.write_bytes(self._rows, b"".join(_lines_of_parquet(path)))
        self._rows.touch()
        with ExitStack() as opening:
            self._file = opening.enter_context(self._rows.open("r+b"))
            files.claim(
                self._file,
                rule="only one command may write to an --output",
                remedy="wait, or name another --output",
            )
            try:
                self._read(model)
            except UserError:
                if rebuilt:
                    self._rows.unlink()
                raise
            if self._rows.suffix == ".csv" and not self._file.tell():
                self._file.write(_csv_line(self._columns))
            self._opened = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._opened:
            self._file.flush()
            os.fsync(self._file.fileno())
            if kind is None and self._rows != self._path:
                _write_parquet(self._path, self._rows, self._class_names)
                self._rows.unlink()

    def add(self, prediction: Prediction) -> None:
        """Writes one row."""
        self._file.write(self._encode(prediction.record()))
        self._file.flush()
        self._note(prediction.file, prediction.reject_reason, accepted=prediction.accepted)

    @property
    def _columns(self) -> list[str]:
        names = list(Prediction.columns())
        at = names.index("probabilities")
        return [*names[:at], *self._class_names, *names[at + 1 :]]

    def _encode(self, record: Mapping[str, Any]) -> bytes:
        if self._rows.suffix == ".jsonl":
            return _json_line(record)
        row = flat(record, self._class_names)
        return _csv_line([_csv_value(row[name]) for name in self._columns])

    def _note(self, file: str, reason: str, *, accepted: bool) -> None:
        self.done.add(file)
        if not accepted:
            self.refused.append((file, reason))

    def _read(self, model: str) -> None:
        """Reads the whole rows that are there and cuts off the torn one that an interruption may have left."""
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                row = self._decode(line.decode())
            except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
                raise UserError(
                    f"--resume needs results of this model in {self._rows}, its line at byte {end} is of another "
                    "kind; name another --output"
                ) from error
            if row and row["model"] != model:
                raise UserError(f"{self._rows} holds results of the model {row['model']}, not {model}; name another")
            if row:
                self._note(row["file"], row["reject_reason"], accepted=str(row["accepted"]) == "True")
            end += len(line)
        self._file.seek(end)
        self._file.truncate()

    def _decode(self, line: str) -> dict[str, Any] | None:
        """One row; None for the line of column names."""
        if self._rows.suffix == ".jsonl":
            row: dict[str, Any] = json.loads(line)
            _require_record(row)
            return row
        (values,) = csv.reader([line])
        if values == self._columns:
            return None
        row = dict(zip(self._columns, values, strict=True))
        return row | {"file": original(row["file"])}


def _require_record(row: Mapping[str, Any]) -> None:
    """Refuses what is no line of ours.

    Raises:
        KeyError: Where a value is missing.
        TypeError: Where one is of another type.
    """
    kinds = {"file": str, "accepted": bool, "reject_reason": str, "model": str, "probabilities": dict}
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            raise TypeError(name)


def require_suffix(path: Path) -> None:
    """Refuses a file whose ending stands for no table that can be written.

    Raises:
        UserError: Where it is none of `SUFFIXES`, or Parquet and Arrow is not installed, as where only serving is.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--output must end in {', '.join(SUFFIXES)}, received {path}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(f"Parquet needs pyarrow, which is not installed, received {path}; write .jsonl, or install it")


def flat(record: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """A record, see `Prediction.record`, with a column for each class in the place of its probabilities."""
    probabilities = {name: record["probabilities"].get(name) for name in class_names}
    return {**record, **probabilities}


def _csv_value(value: Any) -> Any:  # noqa: ANN401 -- whatever a record holds
    return harmless("; ".join(value) if isinstance(value, tuple) else value)


def _csv_line(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _json_line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parquet_schema(class_names: Sequence[str]) -> "pa.Schema":
    """Names and types of the columns of `flat` records."""
    import pyarrow as pa  # noqa: PLC0415 -- takes a quarter of a second that other formats save

    kinds = {"accepted": pa.bool_(), "flag": pa.bool_()}
    kinds |= dict.fromkeys(("abnormal_score", "distance", "evidence_in_lungs"), pa.float64())
    kinds |= dict.fromkeys(("prediction_set", "warnings"), pa.list_(pa.string()))
    kinds |= dict.fromkeys(class_names, pa.float64())
    names = list(Prediction.columns())
    at = names.index("probabilities")
    names[at : at + 1] = class_names
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names])


def _write_parquet(path: Path, rows: Path, class_names: Sequence[str]) -> None:
    """Turns JSON lines into a Parquet file, some thousand at a time, whole or not at all."""
    import pyarrow as pa  # noqa: PLC0415 -- see above
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = parquet_schema(class_names)
    with rows.open("rb") as file, files.replacing(path) as written, pq.ParquetWriter(written, schema) as writer:
        while lines := file.readlines(PARQUET_ROWS * 512):
            records = [flat(json.loads(line), class_names) for line in lines]
            try:
                table = pa.Table.from_pylist(records, schema=schema)
            except (pa.ArrowException, OverflowError) as error:
                raise UserError(f"{rows} holds values of other types; name another --output") from error
            writer.write_table(table)


def _lines_of_parquet(path: Path) -> Iterator[bytes]:
    """The records of a Parquet file, as lines as they were before it was written."""
    import pyarrow as pa  # noqa: PLC0415 -- see above
    import pyarrow.parquet as pq  # noqa: PLC0415 -- see above

    known = set(Prediction.columns())
    try:
        with pq.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(PARQUET_ROWS) for row in batch.to_pylist())
            for row in rows:
                probabilities = {name: value for name, value in row.items() if name not in known and value is not None}
                record = {name: row.get(name) for name in Prediction.columns()}
                yield _json_line(record | {"probabilities": probabilities})
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:  # TypeError: a column of another kind
        raise UserError(f"{path} cannot be read as results ({type(error).__name__}); name another --output") from error
