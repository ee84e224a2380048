"""Checks the recovered patients by pixels, against your own files of RSNA or NIH.

Examples:
    python -m tfds_cxr.verify DATABASE stage_2_train_images
    python -m tfds_cxr.verify DATABASE images_001 images_002 --output verified.csv

DATABASE is a folder with a copy of the COVID-19 Radiography Database, or in which its zip lies. The other folders hold
originals under their own names: patientIds of the RSNA Pneumonia Detection Challenge (.dcm or .png) or files of NIH
ChestX-ray14 (.png).
Each original whose name the provenance table gives to an image of the copy is compared with that image by the
fingerprint of `tfds_cxr.grouping`. The exit code is 1 where one is of another film.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_keras3.base import files, progress
from cxr_keras3.base.errors import UserError, run_command

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ENDINGS = {".dcm", ".png"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One original beside the image that the table says it became.

    Attributes:
        original: Its file.
        image_id: The image of the database, for example `Normal-1404`.
        patient_id: The patient that the table gives.
        similarity: Of the two fingerprints, -1..1; None where a file could not be read.
        result: "same film", "another film", or why it could not be compared.
    """

    original: str
    image_id: str
    patient_id: str
    similarity: float | None
    result: str


def compare(database_dir: Path, originals: Sequence[Path]) -> Iterator[Comparison]:
    """Compares every original with its image of the database, with a bar.

    Args:
        database_dir: Folder with the copy, or in which its zip lies.
        originals: Folders of originals, searched with their sub-folders.

    Raises:
        UserError: Where there is no copy, or no original that the table gives to one of its images.
    """
    from tfds_cxr import database, grouping, provenance

    named = {name: entry for entry in provenance.load().values() for name in _names(entry.rsna_id, entry.nih_file)}
    with database.opened(database_dir) as root:
        copy = {file.image_id.casefold(): file for file in database.list_files(root).files}
        pairs = [
            (path, named[path.stem])
            for folder in originals
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in ENDINGS and path.stem in named and named[path.stem].image_id.casefold() in copy
        ]
        if not pairs:
            raise UserError(
                "a folder must hold originals of images in the copy, under their RSNA or NIH names "
                f"(such as 00001248_026.png); none found in {', '.join(map(str, originals))}"
            )
        for path, entry in progress.track(pairs, description="comparing"):
            similarity, result = None, ""
            try:
                one = _fingerprint(path.read_bytes())
                other = _fingerprint(database.read_bytes(copy[entry.image_id.casefold()].path))
                similarity = float(one @ other)
                alike = similarity >= grouping.NEAR_DUPLICATE_SIMILARITY
                result = "same film" if alike else "another film"
            except UserError as error:
                result = str(error)
            yield Comparison(str(path), entry.image_id, entry.patient_id, similarity, result)


def _names(*names: str) -> Iterator[str]:
    """The stems that an original's file may have."""
    yield from (name.removesuffix(".png") for name in names if name)


def _fingerprint(data: bytes) -> "npt.NDArray[np.float32]":
    from cxr_keras3 import images
    from tfds_cxr import grouping

    return grouping.fingerprint(images.decode(data).pixels)


def main(arguments: Sequence[str]) -> int:
    """The command `python -m tfds_cxr.verify`."""
    parser = argparse.ArgumentParser(
        prog="python -m tfds_cxr.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", type=Path, help="folder with a copy of the database, or in which its zip lies")
    parser.add_argument("originals", type=Path, nargs="+", help="folders with RSNA's or NIH's files")
    parser.add_argument("--output", type=Path, metavar="CSV", help="write every comparison to this file")
    options = parser.parse_args(arguments)
    for folder in options.originals:
        if not folder.is_dir():
            raise UserError(f"ORIGINALS must be folders, {folder} is none")
    compared = list(compare(options.database, options.originals))
    if options.output:
        _write(options.output, compared)
    same = sum(found.result == "same film" for found in compared)
    others = [found for found in compared if found.result == "another film"]
    progress.say(f"{same:,} of {len(compared):,} originals are the film that the table says")
    for found in others:
        progress.say(f"another film: {found.original} is not {found.image_id}, similarity {found.similarity:.3f}")
    if unread := len(compared) - same - len(others):
        progress.say(f"not compared: {unread:,}; --output lists why")
    return 1 if others else 0


def _write(path: Path, compared: Sequence[Comparison]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as target, target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Comparison)])
        writer.writeheader()
        writer.writerows(asdict(found) for found in compared)


if __name__ == "__main__":
    run_command(main)
