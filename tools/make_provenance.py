"""Makes `tfds_cxr/provenance.csv.gz`, the table of sources, persons, groups and splits.

    python -m tools.make_provenance SHARED_DATA [--output tfds_cxr/provenance.csv.gz]

SHARED_DATA holds real images of the database and the facts that were found by comparing the database
with the public collections it was compiled from:

- `provenance/metadata_claims.csv`: the database's own metadata, all 21,165 files with their URL;
- `provenance/kermany_match.csv`, `normal_kermany_check.csv`: the Kermany file that an image equals;
- `provenance/covid_source_check.csv`: files of COVID collections that equal a COVID image;
- `external/hannover/data.csv`: the Hannover repository's patients;
- `lung_masks/radiologist_pairs/manifest.csv`: the ieee8023 repository's patients, of a part of its files;
- `radiography_256`, `radiography_299_sample`: images, searched for near duplicates.

The same inputs give the same bytes.
"""

import argparse
import csv
import gzip
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr import grouping, splits
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS
from tfds_cxr.provenance import COLUMNS, UNKNOWN, Provenance, short_source

IMAGE_FOLDERS = ("radiography_256", "radiography_299_sample")

# The collections a COVID image was found in, those that re-host others last: the first one counts.
COLLECTIONS = {
    "ml-workgroup+covid-19-image-repository": "hannover",
    "ieee8023 (via GeneralBlockchain)": "ieee8023",
    "agchung+Figure1-COVID-chestxray-dataset": "figure1",
    "armiro+COVID-CXNet": "covid_cxnet",
}

# COVID-CXNet numbers its files. In these runs of numbers every file found in the Hannover repository too
# comes in the alphabetical order of the names there, so the files between them are taken for Hannover's.
HANNOVER_RUNS = ((510, 673), (686, 700))

# COVID-CXNet 674 to 685 are the panels A to L, days 8 to 41, of one figure: lettering seen in the images.
SERIES_RUN = (674, 685)

# From this number on no COVID image was found in any of the four collections above, the BIMCV collection
# is the only one large enough left to supply them, and their side markers are Spanish ("D", "DCHA").
FIRST_BIMCV = 1894

# The Kermany training normals fill this run of Normal numbers, 1,341 as published; two were not matched.
KERMANY_NORMALS = (63, 1403)

# Patients of ieee8023 files that its manifest lacks, from metadata.csv of ieee8023/covid-chestxray-dataset
# (commit 6a42443). The names are beginnings of file names.
IEEE8023_PATIENTS = {
    "31BA3780": "37", "7C69C012": "33", "80446565": "54", "93FE0BB1": "49", "CD50BA96": "43",
    "F051E018": "38", "auntminnie": "2", "ciaa199.pdf-001-a": "60", "covid-19-infection-exclusive": "98",
    "covid-19-pneumonia-rapidly-progressive": "96", "covid-19-rapidly-progressive": "97", "gr1_lrg": "69",
    "kjr-21-e24-g001": "63", "kjr-21-e25-g001": "76", "lancet-case2": "6", "nejmc2001573": "4",
    "nejmoa2001191": "13", "radiol.2020200490": "18", "ryct.2020200028": "16",
    "ryct.2020200034.fig5": "15",
}  # fmt: skip

# Found by eye among the pairs just below the threshold of `grouping`: one film, cut differently.
SEEN_COPIES = (("COVID-1541", "COVID-1568"),)

_KERMANY_PERSON = re.compile(r"person\d+|NORMAL2-IM-\d+|IM-\d+")


class Evidence:
    """What the tables of facts say of each published file, by its name without the ending."""

    def __init__(self, folder: Path) -> None:
        facts = folder / "provenance"
        self.claimed: dict[str, str] = {}
        for row in _rows(facts / "metadata_claims.csv"):
            number = row["FILE NAME"].rpartition("-")[2].removesuffix(".png")
            self.claimed[f"{row['label_name']}-{number}"] = short_source(row["URL"])

        self.kermany_file: dict[str, str] = {}
        for row in _rows(facts / "normal_kermany_check.csv"):
            self.kermany_file[Path(row["kaggle_file"]).stem] = row["kermany_file"]
        for row in _rows(facts / "kermany_match.csv"):
            self.kermany_file.setdefault(Path(row["file"]).stem, row["kermany_file"])

        self.covid_files: dict[str, dict[str, set[str]]] = {}
        for row in _rows(facts / "covid_source_check.csv"):
            found = self.covid_files.setdefault(Path(row["kaggle_file"]).stem, {})
            found.setdefault(COLLECTIONS[row["true_source_repo"]], set()).add(row["source_file"])

        hannover = _rows(folder / "external/hannover/data.csv")
        self._hannover_patients = {f"{row['image_id']}.png": row["patient_id"] for row in hannover}
        ieee8023 = _rows(folder / "lung_masks/radiologist_pairs/manifest.csv")
        self._ieee8023_patients = {row["name"]: row["patientid"] for row in ieee8023}

    def source(self, image_id: str) -> tuple[str, str]:
        """The source of a file and how it was recovered, one of `provenance.EVIDENCE`."""
        label, _, digits = image_id.rpartition("-")
        number = int(digits)
        if image_id in self.kermany_file:
            return "kermany", "pixels"
        if label == "Normal" and _within(number, KERMANY_NORMALS):
            return "kermany", "block"
        if label in {"Lung_Opacity", "Normal"}:
            return "rsna", "metadata"
        if image_id in self.covid_files:
            found = self.covid_files[image_id]
            source = next(name for name in COLLECTIONS.values() if name in found)
            if source == "covid_cxnet" and any(_within(n, run) for n in _cxnet(found) for run in HANNOVER_RUNS):
                return "hannover", "block"
            return source, "pixels"
        return ("bimcv", "block") if number >= FIRST_BIMCV else (UNKNOWN, "none")

    def patient(self, image_id: str) -> str:
        """The person in a file as the source names them; empty where unknown."""
        if name := _KERMANY_PERSON.search(self.kermany_file.get(image_id, "")):
            return name[0]
        source, _ = self.source(image_id)
        found: Mapping[str, set[str]] = self.covid_files.get(image_id, {})
        if source == "covid_cxnet" and any(_within(number, SERIES_RUN) for number in _cxnet(found)):
            return "{}-{}".format(*SERIES_RUN)
        persons = (self._person_of_file(source, file) for file in sorted(found.get(source, ())))
        return next(filter(None, persons), "")

    def _person_of_file(self, source: str, file: str) -> str:
        if source == "hannover":
            return self._hannover_patients[file]
        if source == "ieee8023":
            beginnings = (person for start, person in IEEE8023_PATIENTS.items() if file.startswith(start))
            return self._ieee8023_patients.get(file) or next(beginnings, "")
        return ""

    def person(self, image_id: str) -> str:
        """The patient's name with the source, unique over the database; empty where unknown."""
        patient = self.patient(image_id)
        return f"{self.source(image_id)[0]}:{patient}" if patient else ""

    def keys(self, image_id: str) -> Iterator[str]:
        """Names of things that put all files sharing one of them into one group."""
        if person := self.person(image_id):
            yield person
        for collection, files in self.covid_files.get(image_id, {}).items():
            yield from (f"{collection}/{file}" for file in files)
        yield from (f"copies of {pair[0]}" for pair in SEEN_COPIES if image_id in pair)


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
    writer.writerows(astuple(entry) for entry in entries)
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
            evidence.patient(image_id),
            group,
            split[group],
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

    persons = [evidence.person(image_id) for image_id in ids]
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


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise UserError(f"SHARED_DATA must hold {path.name}, missing at {path}")
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _class_and_number(image_id: str) -> tuple[int, int]:
    label, _, number = image_id.rpartition("-")
    return LABELS.index(label), int(number)


def _cxnet(found: Mapping[str, set[str]]) -> list[int]:
    """The numbers that a picture has in COVID-CXNet."""
    return [int(number) for file in found.get("covid_cxnet", ()) for number in re.findall(r"^\d+", file)]


def _within(number: int, run: tuple[int, int]) -> bool:
    return run[0] <= number <= run[1]


if __name__ == "__main__":
    run_command(main)
