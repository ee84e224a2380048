"""What is to be scored: files, folders, archives, lists. Archives are read in place and not trusted."""

import codecs
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, Film, ImageError

MAX_ARCHIVE_ENTRIES = 1_000_000
"""Most files read from one zip: it lists them all in memory, some 500 bytes each, when it is opened."""


Content = Path | bytes | Callable[[], bytes] | npt.NDArray[np.uint8] | Film
"""A path; the bytes of a file, or what gives them and may raise `ImageError`; pixels; a decoded film."""


@dataclass(frozen=True, eq=False)
class Input:
    """One film to be.

    Attributes:
        name: What its answer is filed under.
        content: What it is made of.
    """

    name: str
    content: Content


Decode = Callable[[bytes], Film]
"""Makes a film of the bytes of a file, or raises `ImageError`."""


def film(content: Content, decode: Decode = images.decode) -> Film:
    """The film that an input holds.

    Args:
        content: Of an `Input`.
        decode: See `Decode`.

    Raises:
        ImageError: Where it cannot be decoded.
    """
    if isinstance(content, Film):
        return content
    if isinstance(content, np.ndarray):
        return Film(content.squeeze(-1) if content.ndim == 3 else content, original_mode="array")
    if isinstance(content, Path):
        return decode(images.read(content))
    return decode(content() if callable(content) else content)


def find(inputs: Sequence[Path]) -> list[Input]:
    """The files named, those below the folders named, and those in the zip archives named.

    Hidden files are left out, and a file that is named twice counts once. Folders are read in the order of the
    names in them, archives in their own; two files of one name in an archive are told apart by "#2".

    Raises:
        UserError: Where an input does not exist, an archive cannot be opened, or there is no file in any.
    """
    found: dict[str, Input] = {}
    for path in inputs:
        if not path.exists():
            raise UserError(f"an input must be an existing file or folder, received {path}")
        for found_input in _archived(path) if path.suffix.lower() == ".zip" else _files(path):
            found.setdefault(found_input.name, found_input)
    if not found:
        raise UserError(f"there must be at least one file to score, found none in {', '.join(map(str, inputs))}")
    return list(found.values())


def read_list(stream: BinaryIO) -> Iterator[str]:
    """The lines of a list, as they come: UTF-8, or UTF-16 with its mark, as PowerShell's `>` writes it."""
    buffered = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
    first = buffered.readline()
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from (first + buffered.read()).decode("utf-16", errors="replace").splitlines()
        return
    yield first.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")
    for line in buffered:
        yield line.decode(errors="surrogateescape")


def listed(lines: Iterable[str]) -> Iterator[Input]:
    """The files that a list names, one a line, as the lines come; one named twice counts once."""
    seen = set()
    for line in lines:
        name = line.rstrip("\r\n")
        if name and name not in seen:
            seen.add(name)
            yield Input(printable(name), Path(name))


def printable(name: str) -> str:
    """A name that fits on one line of any text file: what is not printable is written as an escape sequence."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def _files(path: Path) -> Iterator[Input]:
    below = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in below:
        if file.is_file() and not file.name.startswith("."):
            yield Input(printable(os.fspath(file)), file)


def _archived(path: Path) -> Iterator[Input]:
    try:
        archive = zipfile.ZipFile(path)  # stays open for the sources, which threads may read side by side
    except (OSError, ValueError, RuntimeError, OverflowError, zipfile.BadZipFile, struct.error) as error:
        raise UserError(f"{path} cannot be opened as a zip archive ({error}); make it again") from error
    entries = [entry for entry in archive.infolist() if not is_folder_or_hidden(entry.filename)]
    if len(entries) > MAX_ARCHIVE_ENTRIES:
        raise UserError(f"a zip may hold at most {MAX_ARCHIVE_ENTRIES} files, {path} holds more; divide it")
    times: dict[str, int] = {}
    for entry in entries:
        times[entry.filename] = times.get(entry.filename, 0) + 1
        again = f"#{times[entry.filename]}" if times[entry.filename] > 1 else ""
        yield Input(printable(f"{path}/{entry.filename}{again}"), _Entry(archive, entry))


def is_folder_or_hidden(name: str) -> bool:
    """Whether an archive's entry is none of the files that count."""
    parts = name.split("/")
    return name.endswith("/") or parts[-1].startswith(".") or "__MACOSX" in parts


@dataclass(frozen=True, eq=False)
class _Entry:
    """Reads one file of an archive, and no more of it than an image may have, whatever the archive claims."""

    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo

    def __call__(self) -> bytes:
        try:
            with self.archive.open(self.entry) as file:
                return file.read(MAX_FILE_BYTES + 1)
        # RuntimeError: encrypted, or a method that Python does not know; ValueError: how a name is encoded.
        except (
            *(OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error),
            *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
        ) as error:
            raise ImageError(
                f"the file cannot be read from the zip ({type(error).__name__}): it is damaged or encrypted"
            ) from error
