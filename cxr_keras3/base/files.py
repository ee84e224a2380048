"""Writing files: whole or not at all, and by one process at a time."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from cxr_keras3.base.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name to write to, and puts what was written there in the place of `path` when the block ends.

    A reader sees the old content or the new one, never half of it, and so does whoever looks after a crash: the content
    is on the disk before its name is. Where the block raises, `path` stays as it was.

    Args:
        path: A file, or a folder if the block makes one; its own folder must exist.

    Yields:
        A free name in the same folder, with the ending of `path`, which some writers look at.
    """
    workplace = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", suffix=".partial", dir=path.parent))
    written = workplace / path.name
    try:
        yield written
        _sync(written)
        if written.is_dir() and path.exists():
            path.replace(workplace / "old")  # a folder is not renamed onto another
        written.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as written:
        written.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def read_json(path: Path, *, rule: str, remedy: str) -> Any:  # noqa: ANN401 -- whatever JSON can hold
    """Reads a JSON file that a program may have left damaged.

    Args:
        path: The file.
        rule: What it must be, for the error: "must hold the settings of a training".
        remedy: What to do where it is not.

    Raises:
        UserError: Where it cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} {rule}, it cannot be read ({type(error).__name__}); {remedy}") from error


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 -- whatever JSON can hold
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def short(name: str, *, room: int = 0) -> str:
    """A file name cut to what file systems take, 255 bytes, less the room that is left for an addition."""
    return name.encode(errors="surrogateescape")[: 255 - room].decode(errors="ignore")


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files in hexadecimal, by their names."""
    return {path.name: _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_checksums(folder: Path, expected: Mapping[str, str], *, remedy: str) -> None:
    """Refuses files that are not what they were when they were written: a flipped bit changes answers without a word.

    Args:
        folder: Where the files are.
        expected: From `checksums`.
        remedy: What to do, for the error.

    Raises:
        UserError: Where one is missing or another, or lies elsewhere.
    """
    for name, digest in expected.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():  # who wrote the name may be a stranger
            raise UserError(f"{path} must be a file in {folder}, it is not; {remedy}")
        try:
            found = checksums([path])[name]
        except OSError as error:
            raise UserError(f"{path} must be there, it cannot be read ({error.strerror}); {remedy}") from error
        if found != digest:
            raise UserError(f"{path} must be as it was written, its checksum is another; {remedy}")


@contextlib.contextmanager
def exclusive(path: Path, *, rule: str, remedy: str, waits: bool = False) -> Iterator[None]:
    """Holds a lock for the time of the block; the system gives it free however the process ends.

    Args:
        path: The lock's file, which says who holds it and stays there, empty; its folder must exist.
        rule: What only one process may do, for the error: "only one command may train in a run folder".
        remedy: What to do instead.
        waits: Wait for whoever holds it, and say so, rather than raise.

    Raises:
        UserError: Where another process holds it.
    """
    with path.open("a+b") as file:
        if not filelock.lock_descriptor(file.fileno(), blocking=False):
            file.seek(0)
            who = f"{file.read(200).decode(errors='replace') or 'another process'} does in {path.parent}"
            if not waits:
                raise UserError(f"{rule}, {who}; {remedy}")
            from cxr_keras3.base import progress  # noqa: PLC0415 -- takes a tenth of a second that most users save

            progress.say(f"{rule}, {who}; waiting for it")
            filelock.lock_descriptor(file.fileno())
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def claim(file: BinaryIO, *, rule: str, remedy: str) -> None:
    """Locks an open file against other processes for as long as it is open.

    Args:
        file: Open for writing.
        rule: What only one process may do, for the error.
        remedy: What to do instead.

    Raises:
        UserError: Where another process holds the file, or has just deleted it.
    """
    taken = filelock.lock_descriptor(file.fileno(), blocking=False)
    if not taken or os.fstat(file.fileno()).st_nlink == 0:
        raise UserError(f"{rule}, another does to {file.name}; {remedy}")


def _sync(written: Path) -> None:
    """Has the system put a file, or all files below a folder, on the disk."""
    for file in sorted(written.rglob("*")) if written.is_dir() else [written]:
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Puts a folder's names on the disk; Windows has no such call, and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
