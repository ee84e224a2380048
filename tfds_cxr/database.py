"""Finds and reads a copy of the COVID-19 Radiography Database: a folder, or a zip read in place.

`pathlib.Path` and `zipfile.Path` answer to the same calls, so everything below works on both.
"""

import hashlib
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from tfds_cxr.labels import LABELS

AnyPath = Path | zipfile.Path

KAGGLE_HANDLE = "tawsifurrahman/covid19-radiography-database"
EXPECTED_LAYOUT = (
    "the folder COVID-19_Radiography_Dataset with a folder for each of COVID, Lung_Opacity, Normal and "
    "Viral Pneumonia, or the zip that Kaggle gives"
)

# Folder names of the current and of older releases, without case and punctuation.
_CLASS_FOLDERS = {re.sub(r"[^a-z]", "", label.casefold()): label for label in LABELS}
_MACOS = "__MACOSX"  # where the Finder keeps what is no file of ours
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"})
_SEARCH_DEPTH = 3  # the folder handed over may be a parent: of the folder, of the zip, of what Kaggle unpacks
_MAX_SHEET_BYTES = 16 * 2**20  # the largest has 0.4 MiB
_METADATA_COLUMNS = ("FILE NAME", "URL")


class DatabaseError(UserError):
    """The folder or archive handed over is not a usable copy of the database."""


@dataclass(frozen=True)
class DatabaseFile:
    """One image of the database.

    Attributes:
        label: Its class, as spelled in `tfds_cxr.labels.LABELS`.
        path: Where it is, in a folder or inside a zip.
        mask: Its lung mask, or None where the copy has none.
        url: What the metadata sheet of its class claims as its origin; empty where it has no row.
    """

    label: str
    path: AnyPath
    mask: AnyPath | None
    url: str

    @property
    def filename(self) -> str:
        """The file's name without folders."""
        return self.path.name

    @property
    def image_id(self) -> str:
        """The file's name without its ending, unique within a class."""
        return Path(self.filename).stem


@dataclass(frozen=True)
class Listing:
    """What a copy of the database holds, and what it should hold by its own metadata.

    Attributes:
        files: Its images, by class and then by name.
        missing: The metadata's rows that no image belongs to, as `class/name`, in the order of the sheets.
    """

    files: list[DatabaseFile]
    missing: list[str]


def require_folder(folder: Path, *, expected: str = EXPECTED_LAYOUT) -> None:
    """Refuses a manual folder that is not there.

    Raises:
        DatabaseError: Where it is not.
    """
    if not folder.is_dir():
        raise DatabaseError(f"the manual folder must exist, received {folder}; it must hold {expected}")


@contextmanager
def opened(folder: Path) -> Iterator[AnyPath]:
    """Finds the folder that holds the class folders, in `folder`, below it, or inside a zip there.

    A zip stays open inside the `with` block, so that its files can be read.

    Raises:
        DatabaseError: Where there is none, or more than one.
    """
    with found(folder, _holds_class_folders, what="the database", expected=EXPECTED_LAYOUT) as root:
        yield root


@contextmanager
def found(folder: Path, is_root: Callable[[AnyPath], bool], *, what: str, expected: str) -> Iterator[AnyPath]:
    """Finds the one folder that satisfies `is_root`, in `folder`, below it, or inside a zip there.

    Args:
        folder: Where to look.
        is_root: Whether a folder is what is looked for.
        what: Its name, for the errors.
        expected: What it holds, for the errors.

    Raises:
        DatabaseError: Where there is none, or more than one.
    """
    require_folder(folder, expected=expected)
    with ExitStack() as archives:
        candidates = list(_roots(folder, is_root, archives, depth=_SEARCH_DEPTH))
        if not candidates:
            raise DatabaseError(f"no copy of {what} found in {folder}; expected {expected}")
        if len(candidates) > 1:
            raise DatabaseError(
                f"{len(candidates)} copies of {what} found in {folder} "
                f"({', '.join(str(root) for root in candidates)}); name the folder of one of them"
            )
        yield candidates[0]


def _holds_class_folders(folder: AnyPath) -> bool:
    return any(child.is_dir() and class_of_folder(child.name) for child in folder.iterdir())


def _roots(
    folder: AnyPath, is_root: Callable[[AnyPath], bool], archives: ExitStack, *, depth: int
) -> Iterator[AnyPath]:
    if is_root(folder):
        yield folder
        return
    children: list[AnyPath] = sorted(folder.iterdir(), key=lambda child: child.name)
    for child in children:
        if child.name.startswith(".") or child.name == _MACOS:
            continue
        if child.is_dir() and depth > 0:
            yield from _roots(child, is_root, archives, depth=depth - 1)
        elif isinstance(child, Path) and child.suffix.casefold() == ".zip":
            archive = archives.enter_context(_open_zip(child))
            yield from _roots(zipfile.Path(archive), is_root, archives, depth=depth)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    # What a damaged directory makes of it is hardly ever a BadZipFile.
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, struct.error, OverflowError) as error:
        raise DatabaseError(f"{path} is not a readable zip ({error}); download it again") from error
    for entry in archive.infolist():  # .NET on Windows writes backslashes, against the format's word
        if "\\" in entry.filename and "/" not in entry.filename:
            entry.filename = entry.filename.replace("\\", "/")
            archive.NameToInfo[entry.filename] = entry
    return archive


def class_of_folder(name: str) -> str | None:
    """The class that a folder's name stands for in any release of the database, or None."""
    return _CLASS_FOLDERS.get(re.sub(r"[^a-z]", "", name.casefold()))


def list_files(root: AnyPath) -> Listing:
    """Lists the images of a copy of the database, and what its metadata names beyond them.

    Args:
        root: The folder that holds the class folders, see `opened`.

    Raises:
        DatabaseError: Where a class is missing or empty, or a metadata sheet has other columns.
    """
    files, missing = [], []
    folders = _class_folders(root)
    for label in LABELS:
        if label not in folders:
            raise DatabaseError(f"the database must have a folder {label!r}, missing in {root}")
        images = _images_of_class(folders[label])
        if not images:
            raise DatabaseError(f"the folder {folders[label]} must hold images, it holds none")
        masks = {mask.name.casefold(): mask for mask in _files_below(folders[label] / "masks")}
        rows = _metadata_rows(root, label)
        urls = {normalised(name): url for name, url in rows}
        stems = [normalised(Path(path.name).stem) for path in images]
        files += [
            DatabaseFile(label, path, masks.get(path.name.casefold()), urls.get(stem, ""))
            for path, stem in zip(images, stems, strict=True)
        ]
        found = set(stems)
        missing += [f"{label}/{name}" for name, _ in rows if normalised(name) not in found]
    return Listing(files, missing)


def _class_folders(root: AnyPath) -> dict[str, AnyPath]:
    """The folder of each class.

    Raises:
        DatabaseError: Where a class has two, as in a copy that was put together of two releases.
    """
    found: dict[str, AnyPath] = {}
    children: list[AnyPath] = sorted(root.iterdir(), key=lambda each: each.name)
    for child in children:
        label = class_of_folder(child.name) if child.is_dir() else None
        if label is None:
            continue
        if label in found:
            raise DatabaseError(
                f"each class must have one folder, {label} has {found[label].name} and {child.name}; join them"
            )
        found[label] = child
    return found


def _images_of_class(folder: AnyPath) -> list[AnyPath]:
    """The class's images: in `images/`, or directly in the class folder as in older releases.

    Raises:
        DatabaseError: Where they are in both.
    """
    inner = folder / "images"
    outer = [path for path in _files_below(folder) if not path.name.startswith(".")]
    if not inner.is_dir():
        return sorted(outer, key=lambda path: natural_key(path.name))
    beside = [path.name for path in outer if Path(path.name).suffix.casefold() in _IMAGE_SUFFIXES]
    if beside:
        raise DatabaseError(
            f"the images of a class must be in one folder, {len(beside)} of {folder} lie beside images/, such as "
            f"{beside[0]}; move them into it"
        )
    paths = [path for path in _files_below(inner) if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: natural_key(path.name))


def _files_below(folder: AnyPath) -> list[AnyPath]:
    return [child for child in folder.iterdir() if child.is_file()] if folder.is_dir() else []


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts `COVID-2.png` before `COVID-10.png`: every second part is a number, and the longer one is the larger."""
    parts = re.split(r"(\d+)", name)
    numbers = [part.lstrip("0") for part in parts]
    return tuple(
        (len(number), number) if index % 2 else (0, part)
        for index, (part, number) in enumerate(zip(parts, numbers, strict=True))
    )


def normalised(stem: str) -> str:
    """A file's name as it is compared with the metadata's, without case and blanks."""
    return re.sub(r"\s", "", stem.casefold())


def read_bytes(path: AnyPath, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Reads a file of the database, at most `limit` bytes of it.

    Raises:
        ImageError: Where it is larger, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    # RuntimeError: encrypted, or a method that Python does not know; ValueError: how a name is encoded.
    except (
        *(OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error),
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    ) as error:
        raise ImageError(f"cannot be read ({type(error).__name__}: {error}): damaged or encrypted") from error
    if len(data) > limit:
        raise ImageError(f"a file may have at most {limit:,} bytes, this one has more")
    return bytes(data)


def _metadata_rows(root: AnyPath, label: str) -> list[tuple[str, str]]:
    """File name and claimed URL of every row of a class's metadata sheet; none without a sheet."""
    sheets = [p for p in root.iterdir() if p.name.casefold() == f"{label}.metadata.xlsx".casefold()]
    if not sheets:
        return []
    rows = _sheet_rows(sheets[0])
    header = [str(cell).strip().upper() for cell in rows[0]] if rows else []
    missing = [column for column in _METADATA_COLUMNS if column not in header]
    if missing:
        raise DatabaseError(
            f"{sheets[0].name} must have the columns {', '.join(_METADATA_COLUMNS)}; "
            f"missing {', '.join(missing)}, found {', '.join(header) or 'none'}; restore the original sheet"
        )
    name, url = (header.index(column) for column in _METADATA_COLUMNS)
    whole = [row for row in rows[1:] if len(row) == len(header)]  # else it is empty from somewhere on
    return [(str(row[name]).strip(), str(row[url] or "").strip()) for row in whole if row[name]]


def _sheet_rows(path: AnyPath) -> list[tuple[Any, ...]]:
    try:
        content = io.BytesIO(read_bytes(path, limit=_MAX_SHEET_BYTES))
        with zipfile.ZipFile(content) as parts:
            if sum(part.file_size for part in parts.infolist()) > 20 * _MAX_SHEET_BYTES:
                raise ImageError("unpacks to more than any sheet of the database")  # noqa: TRY301 -- like the others
        book = openpyxl.load_workbook(content, read_only=True, data_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
    except ImageError as error:
        raise DatabaseError(f"{path.name} {error}; restore the original") from error
    except Exception as error:  # what other programs save makes openpyxl raise almost anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DatabaseError(f"{path.name} is not a readable xlsx file ({reason}); restore the original") from error
    book.close()
    return rows


def size_of(path: AnyPath) -> int:
    """A file's size in bytes, without reading it."""
    return path.root.getinfo(path.at).file_size if isinstance(path, zipfile.Path) else path.stat().st_size


def listing_fingerprint(files: list[DatabaseFile]) -> str:
    """Identifies a copy of the database by class, name and size of its files; the same for folder and zip."""
    lines = sorted(f"{file.label}/{file.filename}/{size_of(file.path)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count_by_label(files: list[DatabaseFile]) -> dict[str, int]:
    """Images of each class, in the order of `LABELS`."""
    counts = Counter(file.label for file in files)
    return {label: counts[label] for label in LABELS}
