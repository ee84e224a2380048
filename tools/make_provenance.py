"""Makes `tfds_cxr/provenance.csv.gz`, the table of sources, persons, groups and splits.

    python -m tools.make_provenance SHARED_DATA [--output tfds_cxr/provenance.csv.gz]

SHARED_DATA holds real images of the database and the facts that were found by comparing the database
with the public collections it was compiled from:

- `provenance/metadata_claims.csv`: the database's own metadata, all 21,165 files with their URL;
- `provenance/kermany_match.csv`, `normal_kermany_check.csv`: the Kermany file that an image equals;
- `provenance/covid_source_check.csv`: files of COVID collections that equal a COVID image;
- `provenance/rsna_patients.csv`: RSNA's and NIH's names of a file, and its patient, by the order of the file numbers;
- `provenance/rsna_pixel_matches.csv`: the NIH files that a hundred of these equal;
- `external/hannover/data.csv`: the Hannover repository's patients;
- `lung_masks/radiologist_pairs/manifest.csv`: the ieee8023 repository's patients, of a part of its files;
- `radiography_256`, `radiography_299_sample`: images, searched for near duplicates.

The same inputs give the same bytes.
"""

import argparse
import csv
import gzip
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr import grouping, splits
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS
from tfds_cxr.provenance import COLUMNS, Provenance
from tools.provenance_evidence import Evidence

IMAGE_FOLDERS = ("radiography_256", "radiography_299_sample")


def main(arguments: Sequence[str]) -> int:
    """Makes the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_provenance", description=__doc__)
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("tfds_cxr/provenance.csv.gz"))
    options = parser.parse_args(arguments)
    entries = make_table(options.shared_data)
    counts = dict(Counter(entry.image_id.rpartition("-")[0] for entry in entries))
    if counts != PUBLISHED_COUNTS:
        raise UserError(f"the table must have {PUBLISHED_COUNTS} files, got {counts}; check SHARED_DATA")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(entry) for entry in entries)  # None is written as nothing
    options.output.write_bytes(gzip.compress(text.getvalue().encode("ascii"), mtime=0))
    return 0


def make_table(folder: Path) -> list[Provenance]:
    """Returns the entries of all published files, ordered by class and number."""
    evidence = Evidence(folder)
    ids = sorted(evidence.claimed, key=_class_and_number)
    groups = _groups(ids, evidence, _near_duplicate_pairs(folder, ids))
    split = _deal_by_stratum(ids, groups, evidence)
    return [
        Provenance(
            image_id,
            evidence.claimed[image_id],
            *evidence.source(image_id),
            **asdict(evidence.person(image_id)),
            group=group,
            split=split[group],
        )
        for image_id, group in zip(ids, groups, strict=True)
    ]


def _groups(ids: Sequence[str], evidence: Evidence, similar: npt.NDArray[np.int64]) -> list[str]:
    """Each file's group, named after the first person among its files, else after its first file."""
    holders: list[int] = []
    keys: list[str] = []
    for position, image_id in enumerate(ids):
        for key in evidence.keys(image_id):
            holders.append(position)
            keys.append(key)
    shared = np.array(holders, np.int64)[grouping.pairs_with_equal_keys(keys)]
    components = grouping.connect(len(ids), np.concatenate([shared, similar]))

    persons = [evidence.person(image_id).patient_id for image_id in ids]
    names: dict[int, str] = {}
    for position in sorted(range(len(ids)), key=lambda p: not persons[p]):  # stable: persons, then the rest
        names.setdefault(int(components[position]), persons[position] or ids[position])
    return [names[int(component)] for component in components]


def _deal_by_stratum(ids: Sequence[str], groups: Sequence[str], evidence: Evidence) -> dict[str, str]:
    """The split of each group, dealt within class and source; a group goes with most of its files."""
    strata: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for image_id, group in zip(ids, groups, strict=True):
        strata[group][image_id.rpartition("-")[0], evidence.source(image_id)[0]] += 1
    sizes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for group, counts in strata.items():
        stratum = min(counts, key=lambda s: (-counts[s], s))
        sizes[stratum][group] = counts.total()
    return {group: split for stratum in sizes.values() for group, split in splits.deal(stratum).items()}


def _near_duplicate_pairs(folder: Path, ids: Sequence[str]) -> npt.NDArray[np.int64]:
    position = {image_id: number for number, image_id in enumerate(ids)}
    paths = sorted(p for name in IMAGE_FOLDERS for p in (folder / name).glob("*/*/images/*.png"))
    if not paths:
        raise UserError(f"{folder} must hold images in {' or '.join(IMAGE_FOLDERS)}, found none")
    prints = np.stack([grouping.fingerprint(np.asarray(Image.open(path).convert("L"))) for path in paths])
    return np.array([position[path.stem] for path in paths], np.int64)[grouping.near_duplicates(prints)]


def _class_and_number(image_id: str) -> tuple[int, int]:
    label, _, number = image_id.rpartition("-")
    return LABELS.index(label), int(number)


if __name__ == "__main__":
    run_command(main)
