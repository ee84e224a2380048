"""Reading what collections are published as: folders or a zip of them, tables, and values in a dozen spellings."""

import csv
import fnmatch
import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from cxr_keras3.images import ImageError
from tfds_cxr.collections.table import LATERAL, NO_RADIOGRAPH
from tfds_cxr.database import AnyPath, DatabaseError, natural_key, read_bytes

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".dcm", ".dicom")
_UNSEEN = ("__MACOSX",)
_VIEWS = {
    "AP": "AP",
    "AP SUPINE": "AP",
    "AP_HORIZONTAL": "AP",
    "AP HORIZONTAL": "AP",
    "AP ERECT": "AP",
    "ANTEROPOSTERIOR": "AP",
    "PA": "PA",
    "POSTEROANTERIOR": "PA",
    "L": LATERAL,
    "LL": LATERAL,
    "RL": LATERAL,
    "LAT": LATERAL,
    "LATERAL": LATERAL,
    "LARGE LATERAL": LATERAL,
    "AXIAL": NO_RADIOGRAPH,
    "CORONAL": NO_RADIOGRAPH,
}
HEADER = ("PatientAge", "PatientSex", "ViewPosition", "Manufacturer", "ManufacturerModelName", "Modality")


def holds(*patterns: str) -> Callable[[AnyPath], bool]:
    """Tells the folder that has, for each pattern, a file or folder of such a name; case does not count."""

    def is_root(folder: AnyPath) -> bool:
        names = [child.name.casefold() for child in folder.iterdir()]
        return all(fnmatch.filter(names, pattern.casefold()) for pattern in patterns)

    return is_root


def holds_images(folder: AnyPath) -> bool:
    """Tells a folder with an image in it, or in a folder of it."""
    children: list[AnyPath] = list(folder.iterdir())
    below: list[AnyPath] = [
        part for child in children if child.is_dir() and _seen(child.name) for part in child.iterdir()
    ]
    return any(is_image(part.name) for part in (*children, *below))


def files_below(root: AnyPath) -> dict[str, AnyPath]:
    """Every file below a folder by its path from there, in the order of the names, numbers by value."""
    found: dict[str, AnyPath] = {}
    if isinstance(root, zipfile.Path):
        for entry in root.root.namelist():
            if entry.startswith(root.at) and not entry.endswith("/"):
                found[entry.removeprefix(root.at)] = zipfile.Path(root.root, entry)
    else:
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    shown = [name for name in found if all(map(_seen, PurePosixPath(name).parts))]
    return {name: found[name] for name in sorted(shown, key=natural_key)}


def _seen(name: str) -> bool:
    return not name.startswith(".") and name not in _UNSEEN


def images_below(root: AnyPath) -> dict[str, AnyPath]:
    """The images among `files_below`."""
    return {name: path for name, path in files_below(root).items() if is_image(name)}


def by_name(files: dict[str, AnyPath]) -> dict[str, AnyPath]:
    """Files by their names without folders, for collections that spread unique names over folders."""
    return {PurePosixPath(name).name: path for name, path in files.items()}


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.casefold().endswith(IMAGES)


def one(files: dict[str, AnyPath], pattern: str) -> AnyPath:
    """The one file whose name without folders is like a pattern.

    Raises:
        DatabaseError: Where there is none, or more than one.
    """
    found = every(files, pattern)
    if len(found) != 1:
        raise DatabaseError(
            f"a copy must hold one file {pattern}, found {', '.join(map(str, found)) or 'none'}; restore it"
        )
    return found[0]


def every(files: dict[str, AnyPath], pattern: str) -> list[AnyPath]:
    """Those files whose name without folders is like a pattern; case does not count."""
    wanted = pattern.casefold()
    return [path for name, path in files.items() if fnmatch.fnmatch(PurePosixPath(name).name.casefold(), wanted)]


def rows(path: AnyPath, columns: Sequence[str], *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table, as text without blanks around it; a compressed one (.gz) too.

    Raises:
        DatabaseError: Where it cannot be read, or lacks a column.
    """
    table = csv.DictReader(io.StringIO(_text(path)), delimiter=delimiter)
    header = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = header
    missing = [name for name in columns if name not in header]
    if missing:
        raise DatabaseError(
            f"{path.name} must have the columns {', '.join(columns)}; missing {', '.join(missing)}, found "
            f"{', '.join(header) or 'none'}; restore the original"
        )
    for row in table:
        yield {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}


def text(path: AnyPath) -> str:
    """The content of a text file.

    Raises:
        DatabaseError: Where it cannot be read.
    """
    return _text(path)


def _text(path: AnyPath) -> str:
    try:
        data = read_bytes(path, limit=2**30)
        unpacked = gzip.decompress(data) if path.name.casefold().endswith(".gz") else data
        return unpacked.decode("utf-8-sig")
    except (ImageError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DatabaseError(f"{path.name} must be a readable text file ({error}); restore the original") from error


def number(value: str) -> float | None:
    """The first number in a text, such as 61 of "061Y"; None where there is none."""
    found = re.search(r"\d+(?:\.\d+)?", value)
    return float(found[0]) if found else None


def sex(value: str) -> str:
    """One of "F" and "M" for any spelling, empty for another value."""
    first = value.strip(" '\"[]").upper()[:1]
    return first if first in ("F", "M") else ""


def view(value: str) -> str:
    """One of "AP", "PA", `LATERAL` and `NO_RADIOGRAPH` for the spellings that collections have, empty for another."""
    return _VIEWS.get(value.strip().upper(), "")


def header(path: AnyPath) -> dict[str, str]:
    """What a DICOM header says of patient, view and device, by keyword; all empty where it cannot be read."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # RSNA's ages lack their unit
            data = dcmread(file, stop_before_pixels=True, specific_tags=list(HEADER))
            return {keyword: str(data.get(keyword) or "").strip() for keyword in HEADER}
    # A damaged file is named when its image is read; its header makes pydicom raise almost anything.
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return dict.fromkeys(HEADER, "")


def device(values: dict[str, str]) -> str:
    """Maker and model of a `header`, else its modality."""
    return " ".join(filter(None, (values["Manufacturer"], values["ManufacturerModelName"]))) or values["Modality"]


def folder_of(name: str, depth: int = 1) -> str:
    """The name of the folder that a file lies in, `depth` folders up; empty where there is none."""
    parents = PurePosixPath(name).parts[:-1]
    return parents[-depth] if len(parents) >= depth else ""


def stem(name: str) -> str:
    """A file's name without folders and ending."""
    return Path(name).stem
