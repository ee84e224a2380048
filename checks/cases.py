"""Reads each file of a folder of hostile and unlucky ones, and prints what it cost and what came of it. On Linux.

    python -m checks.cases FOLDER

Each file is read in a process of its own: films as `predict` decodes and checks them, archives and sheets as the
dataset's builder does, lists as `predict` reads them from its standard input. Exit code 1 where one is neither read nor
refused in a line.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import dicom, rendering  # noqa: F401 -- DICOM's part is imported before the clock starts
from cxr_keras3.serving import inputs
from tfds_cxr import database
from tfds_cxr.labels import LABELS

FILMS = frozenset({".dcm", ".jpg", ".png", ".tif"})
READ = FILMS | {".zip", ".txt", ".xlsx"}


def main(folder: Path) -> int:
    """Reads the files and prints a line for each."""
    fell = 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix in READ):
        seconds, mebibytes, told = _in_a_process_of_its_own(path)
        print(f"{path.relative_to(folder)!s:42} {seconds:6.3f} s {mebibytes:6.1f} MiB  {told}", flush=True)
        fell += told.startswith("FELL")
    print(f"fell: {fell}" if fell else "held: each was read or refused in a line")
    return 1 if fell else 0


def _in_a_process_of_its_own(path: Path) -> tuple[float, float, str]:
    """Seconds of a processor core, the most memory beyond what the process had before, in MiB, and what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        told = _told(path)
        os.write(writer, f"{_resident('VmHWM') - before} {told}".encode()[:2000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        mebibytes, _, told = pipe.read().partition(" ")
    _, _, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime, float(mebibytes or "nan"), told or "FELL: the process ended"


def _resident(name: str) -> float:
    """A line of what Linux says of this process's memory, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _told(path: Path) -> str:
    try:
        return _read(path)
    except UserError as error:
        return f"refused: {error}"
    except BaseException as error:  # noqa: BLE001 -- the very thing looked for
        return f"FELL: {type(error).__name__}: {error}"


def _read(path: Path) -> str:
    if path.suffix in FILMS:
        film = images.decode(path)
        refused = rendering.refusal(film.pixels)
        return (
            f"refused: {refused}" if refused else f"read; {'; '.join((*film.warnings, *rendering.notes(film.pixels)))}"
        )
    if path.suffix == ".txt":
        with path.open("rb") as file:
            return f"read: {', '.join(item.name for item in inputs.listed(inputs.read_list(file)))}"
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if path.suffix == ".xlsx":
            for label in LABELS:
                (root / label / "images").mkdir(parents=True)
                (root / label / "images" / f"{label}-1.png").touch()
        shutil.copy(path, root)
        with database.opened(root) as found:
            listing = database.list_files(found)
        return f"read: {len(listing.files)} files, {len(listing.missing)} missing"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
