"""What the tables of facts say of each published file: its source, its person, and what it shares with others.

The facts were found by comparing the database with the public collections it was compiled from; `make_provenance`
lists the files that hold them.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cxr_keras3.base.errors import UserError
from tfds_cxr.provenance import UNKNOWN, short_source
from tools import explorer_order

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

# In this block the numbers follow BIMCV's subjects, who are not named; it is cut into runs that stay whole.
# The length: docs/adr/0032-runs-of-neighbours-for-bimcv.md.
BIMCV_RUN = 20

_KERMANY_PERSON = re.compile(r"person\d+|NORMAL2-IM-\d+|IM-\d+")


@dataclass(frozen=True, slots=True)
class Person:
    """Who a film is of, see the attributes of `tfds_cxr.provenance.Provenance` of the same names."""

    patient_id: str = ""
    patient_evidence: str = "none"
    age: int | None = None
    sex: str = ""
    view: str = ""
    rsna_id: str = ""
    nih_file: str = ""


NOBODY = Person()


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
        self._hannover = {f"{row['image_id']}.png": row for row in hannover}
        ieee8023 = _rows(folder / "lung_masks/radiologist_pairs/manifest.csv")
        self._ieee8023 = {row["name"]: row for row in ieee8023}

        self._rsna = {Path(row["file"]).stem: row for row in _rows(facts / "rsna_patients.csv")}
        self._seen_in_nih = {
            Path(row["file"]).stem: row["nih_file_by_pixels"] for row in _rows(facts / "rsna_pixel_matches.csv")
        }
        self._check_order()

    def _check_order(self) -> None:
        """The rows of RSNA stand where the order of the names puts them, and by pixels are what the order says."""
        for label in ("Lung_Opacity", "Normal"):
            names = {row["rsna_id"]: image_id for image_id, row in self._rsna.items() if image_id.startswith(label)}
            for name, number in explorer_order.numbers(label, names).items():
                if names[name] != f"{label}-{number}":
                    raise UserError(
                        f"rsna_patients.csv has {names[name]} for {name}, by the order it is {label}-{number}"
                    )
        for image_id, nih_file in self._seen_in_nih.items():
            if self._rsna[image_id]["nih_file"] != nih_file:
                raise UserError(f"by pixels {image_id} is {nih_file}, rsna_patients.csv says another")

    def source(self, image_id: str) -> tuple[str, str]:
        """The source of a file and how it was recovered, one of `provenance.EVIDENCE`."""
        label, _, digits = image_id.rpartition("-")
        number = int(digits)
        if image_id in self.kermany_file:
            return "kermany", "pixels"
        if label == "Normal" and _within(number, KERMANY_NORMALS):
            return "kermany", "block"
        if label in {"Lung_Opacity", "Normal"}:
            return "rsna", "pixels" if image_id in self._seen_in_nih else "order"
        if image_id in self.covid_files:
            found = self.covid_files[image_id]
            source = next(name for name in COLLECTIONS.values() if name in found)
            if source == "covid_cxnet" and any(_within(n, run) for n in _cxnet(found) for run in HANNOVER_RUNS):
                return "hannover", "block"
            return source, "pixels"
        return ("bimcv", "block") if number >= FIRST_BIMCV else (UNKNOWN, "none")

    def person(self, image_id: str) -> Person:
        """The person in a film; `NOBODY` where nothing tells."""
        if name := _KERMANY_PERSON.search(self.kermany_file.get(image_id, "")):
            return Person(f"kermany:{name[0]}", "pixels")
        if row := self._rsna.get(image_id):
            return self._rsna_person(image_id, row)
        source, _ = self.source(image_id)
        found: Mapping[str, set[str]] = self.covid_files.get(image_id, {})
        if source == "covid_cxnet" and any(_within(number, SERIES_RUN) for number in _cxnet(found)):
            return Person("covid_cxnet:{}-{}".format(*SERIES_RUN), "lettering")
        persons = (self._person_of_file(source, file) for file in sorted(found.get(source, ())))
        return next((person for person in persons if person.patient_id), NOBODY)

    def _rsna_person(self, image_id: str, row: Mapping[str, str]) -> Person:
        if not row["nih_patient"]:
            return Person(rsna_id=row["rsna_id"])
        evidence = "pixels" if image_id in self._seen_in_nih else "order"
        patient, age = f"nih:{row['nih_patient']}", int(row["age"])
        return Person(patient, evidence, age, row["sex"], row["view"], row["rsna_id"], row["nih_file"])

    def _person_of_file(self, source: str, file: str) -> Person:
        """The person of a file of a COVID collection, found by pixels; Hannover gives no ages."""
        if source == "hannover":
            row = self._hannover[file]
            named, sex, view = f"hannover:{row['patient_id']}", row["sex"].upper(), row["projection"].upper()
            return Person(named, "pixels", sex=sex, view=view)
        if source == "ieee8023":
            described = self._ieee8023.get(file, {})
            beginnings = (person for start, person in IEEE8023_PATIENTS.items() if file.startswith(start))
            patient = described.get("patientid") or next(beginnings, "")
            return Person(f"ieee8023:{patient}", "pixels", view=described.get("view", "")) if patient else NOBODY
        return NOBODY

    def keys(self, image_id: str) -> Iterator[str]:
        """Names of things that put all files sharing one of them into one group."""
        source, _ = self.source(image_id)
        if patient := self.person(image_id).patient_id:
            yield patient
        if source == "bimcv":
            run = (int(image_id.rpartition("-")[2]) - FIRST_BIMCV) // BIMCV_RUN
            yield f"bimcv run {run}"
        for collection, files in self.covid_files.get(image_id, {}).items():
            yield from (f"{collection}/{file}" for file in files)
        yield from (f"copies of {pair[0]}" for pair in SEEN_COPIES if image_id in pair)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise UserError(f"SHARED_DATA must hold {path.name}, missing at {path}")
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _cxnet(found: Mapping[str, set[str]]) -> list[int]:
    """The numbers that a picture has in COVID-CXNet."""
    return [int(number) for file in found.get("covid_cxnet", ()) for number in re.findall(r"^\d+", file)]


def _within(number: int, run: tuple[int, int]) -> bool:
    return run[0] <= number <= run[1]
