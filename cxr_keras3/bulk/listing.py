"""What is to be scored: files, folders, globs, zip and tar archives, Parquet lists, and URIs that fsspec knows."""

import glob
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from cxr_keras3.base.errors import UserError
from cxr_keras3.serving import inputs
from cxr_keras3.serving.inputs import MAX_ARCHIVE_ENTRIES, printable

LIST_COLUMN = "path"
_TAR_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of one film are, in words that hold on every machine that sees the same disks and stores.

    Attributes:
        name: What its answer is filed under.
        place: Absolute path, or URI, of the file or of the archive that it is in.
        listed: Whether it was there when the inputs were listed; the lines of a Parquet list are taken as they are.
        entry: Its name in a zip archive, as `inputs.find` writes it; empty where it is in none.
        span: Offset and length, in bytes, in a tar archive; None where it is in none.
    """

    name: str
    place: str
    listed: bool = True
    entry: str = ""
    span: tuple[int, int] | None = None


def films(named: Sequence[str]) -> list[Location]:
    """The films that the inputs name, each name once, in the order of the inputs.

    Files, folders and zips are listed as `serving.inputs.find` does, and so named.

    Raises:
        UserError: Where an input does not exist, or names no film, or an archive or list cannot be read.
    """
    found: dict[str, Location] = {}
    for text in named:
        for location in _remote(text) if is_uri(text) else _local(text):
            found.setdefault(location.name, location)
    if not found:
        raise UserError(f"there must be at least one film to score, found none in {', '.join(named)}")
    return list(found.values())


def is_uri(text: str) -> bool:
    """Whether an input or output is for fsspec to find, such as s3://bucket/films."""
    return "://" in text


def _local(text: str) -> Iterator[Location]:
    path = Path(text)
    if path.exists() or not glob.has_magic(text):
        paths = [path]
    else:
        paths = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 -- may be absolute
        if not paths:
            raise UserError(f"a pattern must match a file, nothing matches {text}")
    for each in paths:
        yield from _in_path(each)


def _in_path(path: Path) -> Iterator[Location]:
    place = os.fspath(path.absolute())
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix == ".tar":
        yield from _in_tar(os.fspath(path), place)
    elif suffix == ".parquet":
        yield from _in_list(os.fspath(path), place)
    else:
        for found in inputs.find([path]):
            if isinstance(found.content, Path):
                yield Location(found.name, os.fspath(found.content.absolute()))
            else:
                yield Location(found.name, place, entry=found.name.removeprefix(printable(f"{path}/")))


def _remote(uri: str) -> Iterator[Location]:
    try:
        system, path = fsspec.core.url_to_fs(uri)
        found = system.glob(path) if glob.has_magic(path) else system.find(path)  # of a file, that file
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"an input's URI must be one that fsspec can list, received {uri} ({error})") from error
    if not found:
        raise UserError(f"there must be at least one file to score, found none at {uri}")
    for each in sorted(found):
        name, suffix = system.unstrip_protocol(each), Path(each).suffix.lower()
        if suffix == ".tar":
            yield from _in_tar(name, name)
        elif suffix == ".parquet":
            yield from _in_list(name, name)
        elif suffix == ".zip":
            raise UserError(f"a zip must lie on a disk, received {name}; copy it there, or make it a tar archive")
        elif not Path(each).name.startswith("."):
            yield Location(printable(name), name)


def _in_list(name: str, place: str) -> Iterator[Location]:
    try:
        with fsspec.open(place, "rb") as file, pq.ParquetFile(file) as table:
            if LIST_COLUMN not in table.schema_arrow.names:
                raise UserError(f"a Parquet list must have the column {LIST_COLUMN!r}, {name} has none")
            for batch in table.iter_batches(columns=[LIST_COLUMN]):
                for path in batch.column(0).to_pylist():
                    if not isinstance(path, str) or not path:
                        raise UserError(f"the column {LIST_COLUMN!r} must name files, {name} has {path!r}")
                    yield Location(
                        printable(path), path if is_uri(path) else os.fspath(Path(path).absolute()), listed=False
                    )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{name} cannot be read as a Parquet list ({error}); make it again") from error


def _in_tar(name: str, place: str) -> Iterator[Location]:
    """The regular files of an uncompressed tar; only headers are read, and nothing is ever unpacked."""
    times: Counter[str] = Counter()
    try:
        with fsspec.open(place, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_ARCHIVE_ENTRIES:
                    raise UserError(f"a tar may hold at most {MAX_ARCHIVE_ENTRIES} files, {name} holds more; divide it")
                if member.size < 0 or archive.offset <= member.offset:
                    raise tarfile.ReadError("a header points backwards")  # some Pythons would go in circles
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if member.isreg() and not member.issparse() and not inputs.is_folder_or_hidden(member.name):
                    times[member.name] += 1
                    again = f"#{times[member.name]}" if times[member.name] > 1 else ""
                    span = (member.offset_data, member.size)
                    yield Location(printable(f"{name}/{member.name}{again}"), place, span=span)
            file.seek(archive.offset)
            if file.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):  # tarfile merely stops there
                raise tarfile.ReadError("it does not end with empty blocks: it is cut off or damaged")
    except (OSError, EOFError, ValueError, RecursionError, OverflowError, tarfile.TarError) as error:
        raise UserError(
            f"{name} cannot be read as an uncompressed tar archive ({error}); make it again, or gunzip it"
        ) from error
