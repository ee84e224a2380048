"""Makes `tfds_cxr/collections/copies.csv.gz`: files of other collections that are films of the database.

    python -m tools.make_copies SHARED_DATA

SHARED_DATA holds the comparisons that `tools/make_provenance.py` reads. The same inputs give the same bytes.
"""

import argparse
import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base.errors import run_command
from tfds_cxr.collections.copies import COLUMNS
from tfds_cxr.database import natural_key
from tools.provenance_evidence import Evidence


def main(arguments: Sequence[str]) -> int:
    """Makes the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_copies", description=__doc__)
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("tfds_cxr/collections/copies.csv.gz"))
    options = parser.parse_args(arguments)
    evidence = Evidence(options.shared_data)
    found = {("kermany", file): image_id for image_id, file in evidence.kermany_file.items()}
    for image_id in sorted(evidence.covid_files, key=natural_key):
        for collection, files in evidence.covid_files[image_id].items():
            for file in files:
                found.setdefault((collection, file), image_id)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*key, found[key]) for key in sorted(found))
    options.output.write_bytes(gzip.compress(text.getvalue().encode("ascii"), mtime=0))
    return 0


if __name__ == "__main__":
    run_command(main)
