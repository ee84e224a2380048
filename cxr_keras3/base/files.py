"""Writing files: whole or not at all, and by one process at a time."""

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from cxr_keras3.base import progress
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


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 -- whatever JSON can hold
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def exclusive(path: Path, *, rule: str, remedy: str, waits: bool = False) -> Iterator[None]:
    """Holds a lock for the time of the block; the system gives it free however the process ends.

    Who holds it, by process and machine, stands in a file beside it, `<path>.holder`.

    Args:
        path: The lock's file; its folder must exist. It stays there, empty.
        rule: What only one process may do, for the error: "only one command may train in a run folder".
        remedy: What to do instead.
        waits: Wait for whoever holds it, and say so, rather than raise.

    Raises:
        UserError: Where another process holds it.
    """
    holder = path.with_name(f"{path.name}.holder")
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        who = f"{_read_holder(holder)} does in {path.parent}"
        if not waits:
            raise UserError(f"{rule}, {who}; {remedy}") from error
        progress.say(f"{rule}, {who}; waiting for it")
        lock.acquire()
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")[:200] or "another process"
    except OSError:  # it has just taken the lock, or is about to give it free
        return "another process"


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
