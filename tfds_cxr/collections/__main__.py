"""Makes fingerprints of the database's films from a copy of it, beside those that are known.

  python -m tfds_cxr.collections ~/covid19-radiography-database --output fingerprints.npz
  CXR_FINGERPRINTS=fingerprints.npz tfds build tfds_cxr/nih --manual_dir ~/nih

The package brings fingerprints of the films that were at hand when it was made; a full copy gives all 21,165.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxr_keras3 import images
from cxr_keras3.base import files, progress
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError, run_command
from tfds_cxr import database, provenance
from tfds_cxr.collections import fingerprints
from tfds_cxr.collections.fingerprints import Fingerprints
from tfds_cxr.database import DatabaseFile

_AHEAD = 32


def main(arguments: Sequence[str]) -> int:
    """Makes the file; returns 3 where a film could not be read."""
    parser = argparse.ArgumentParser(
        prog="python -m tfds_cxr.collections", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("copy", type=Path, metavar="DIR", help="folder that holds the database, or the zip of it")
    parser.add_argument("--output", type=Path, default=Path("fingerprints.npz"), help="default: fingerprints.npz")
    options = parser.parse_args(arguments)
    with database.opened(options.copy) as root:
        found = list(_made(database.list_files(root).files))
    made = [each for each in found if isinstance(each, Fingerprints)]
    for refused in (each for each in found if isinstance(each, str)):
        progress.say(f"not read: {refused}")
    if not made:
        raise UserError(f"{options.copy} must hold films of the database under their published names, it holds none")
    whole = fingerprints.merged([*made, fingerprints.load()])
    files.write_bytes(options.output, fingerprints.packed(whole))
    progress.say(f"{len(made):,} films read; {len(whole):,} of the database's 21,165 in {options.output}")
    return SOME_FILES_REFUSED_EXIT_CODE if len(made) < len(found) else 0


def _made(listed: Sequence[DatabaseFile]) -> Iterator[Fingerprints | str]:
    """The fingerprint of each published film, or why it has none."""
    published = [file for file in listed if provenance.lookup(file.label, file.image_id).group]
    yield from map_ahead(_one, progress.track(published, description="reading films"), ahead=_AHEAD)


def _one(file: DatabaseFile) -> Fingerprints | str:
    try:
        pixels = images.decode(database.read_bytes(file.path)).pixels
    except images.ImageError as error:
        return f"{file.label}/{file.filename}: {error}"
    return fingerprints.of([pixels], [provenance.lookup(file.label, file.image_id).image_id])


if __name__ == "__main__":
    run_command(main)
