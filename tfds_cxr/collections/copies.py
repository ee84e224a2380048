"""Files of other collections that are known, by their names, to be films of the database.

`copies.csv.gz` is made by `tools/make_copies.py` from comparisons of pictures made before. RSNA's and NIH's names are
in the table of `tfds_cxr.provenance`.
"""

import csv
import functools
import gzip
import io
from collections.abc import Mapping
from importlib import resources

TABLE = "copies.csv.gz"
COLUMNS = ("collection", "file", "image_id")


def of(collection: str) -> Mapping[str, str]:
    """The database's name of each file of a collection that it is known to hold."""
    return _load().get(collection, {})


@functools.cache
def _load() -> Mapping[str, Mapping[str, str]]:
    packed = resources.files(__package__).joinpath(TABLE).read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["collection"], {})[row["file"]] = row["image_id"]
    return found
