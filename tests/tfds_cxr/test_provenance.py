"""The provenance table: complete, consistent, honest about what is unknown, and reproducible."""

import gzip
import subprocess
import sys
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfds_cxr import provenance
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS
from tfds_cxr.splits import SPLITS

TABLE = provenance.load()
SOURCES = {
    "COVID": {"bimcv", "covid_cxnet", "figure1", "hannover", "ieee8023", "unknown"},
    "Lung_Opacity": {"rsna"},
    "Normal": {"rsna", "kermany"},
    "Viral Pneumonia": {"kermany"},
}


def test_table_has_every_published_file_once_in_order() -> None:
    expected = [f"{label}-{n}" for label in LABELS for n in range(1, PUBLISHED_COUNTS[label] + 1)]
    assert list(TABLE) == expected
    assert [entry.image_id for entry in TABLE.values()] == expected


def test_table_stays_small() -> None:
    assert len(resources.files("tfds_cxr").joinpath(provenance.TABLE).read_bytes()) < 700_000


def test_sources_evidence_and_splits_are_known_words() -> None:
    for entry in TABLE.values():
        assert entry.source in SOURCES[entry.image_id.rpartition("-")[0]]
        assert entry.evidence in provenance.EVIDENCE
        assert (entry.source == provenance.UNKNOWN) == (entry.evidence == "none")
        assert entry.split in SPLITS
        assert entry.group


def test_no_person_and_no_group_is_in_two_splits() -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for entry in TABLE.values():
        splits[entry.group].add(entry.split)
        if entry.patient_id:
            groups[entry.patient_id].add(entry.group)
    assert {len(of_group) for of_group in splits.values()} == {1}
    assert {len(of_person) for of_person in groups.values()} == {1}


def test_kermany_images_and_persons_are_as_recovered() -> None:
    kermany = [entry for entry in TABLE.values() if entry.source == "kermany"]
    viral = {entry.patient_id for entry in kermany if entry.image_id.startswith("Viral")}
    assert len(viral) == 1090
    assert all(patient.startswith("kermany:person") for patient in viral)
    assert Counter(entry.image_id.rpartition("-")[0] for entry in kermany) == {
        "Normal": 1341,
        "Viral Pneumonia": 1345,
    }
    unnamed = {entry.image_id for entry in kermany if not entry.patient_id}
    assert unnamed == {"Normal-1105", "Normal-1178"}


@pytest.mark.parametrize(
    ("image_id", "claimed", "source", "evidence", "patient_id"),
    [
        ("Normal-63", "rsna", "kermany", "pixels", "kermany:IM-0115"),
        ("Normal-8852", "kermany", "rsna", "order", "nih:24644"),
        ("COVID-1300", "bimcv", "hannover", "pixels", "hannover:189daebe"),
        ("COVID-41", "sirm", "ieee8023", "pixels", "ieee8023:13"),
        ("COVID-3", "sirm", "unknown", "none", ""),
        ("COVID-3616", "bimcv", "bimcv", "block", ""),
        ("Lung_Opacity-1", "rsna", "rsna", "order", "nih:1248"),
        ("Lung_Opacity-102", "rsna", "rsna", "pixels", "nih:12045"),
        ("Lung_Opacity-400", "rsna", "rsna", "order", ""),
    ],
)
def test_known_files(image_id: str, claimed: str, source: str, evidence: str, patient_id: str) -> None:
    entry = TABLE[image_id]
    assert (entry.claimed_source, entry.source) == (claimed, source)
    assert (entry.evidence, entry.patient_id) == (evidence, patient_id)


def test_rsna_has_patients_ages_sexes_and_views() -> None:
    rsna = [entry for entry in TABLE.values() if entry.source == "rsna"]
    known = [entry for entry in rsna if entry.patient_id]
    assert (len(rsna), len(known)) == (14_863, 14_852)
    assert len({entry.rsna_id for entry in rsna}) == len(rsna)
    assert len({entry.nih_file for entry in known}) == len(known)
    for entry in known:
        assert entry.age is not None
        assert 0 <= entry.age <= 100
        assert entry.sex in {"F", "M"}
        assert entry.view in {"AP", "PA"}
        assert entry.patient_id == f"nih:{int(entry.nih_file[:8])}"
    for label, patients in (("Lung_Opacity", 2359), ("Normal", 6773)):
        assert len({entry.patient_id for entry in known if entry.image_id.startswith(label)}) == patients


def test_what_is_not_known_is_missing() -> None:
    for entry in TABLE.values():
        assert entry.patient_evidence in provenance.PATIENT_EVIDENCE
        assert (entry.patient_evidence == "none") == (not entry.patient_id)
        if not entry.patient_id:
            assert (entry.age, entry.sex, entry.view, entry.nih_file) == (None, "", "", "")
        if entry.source != "rsna":
            assert (entry.age, entry.rsna_id, entry.nih_file) == (None, "", "")


def test_bimcv_stays_in_runs_of_twenty_numbers() -> None:
    bimcv = [entry for entry in TABLE.values() if entry.source == "bimcv"]
    for start in range(0, len(bimcv), 20):
        assert len({entry.group for entry in bimcv[start : start + 20]}) == 1
    assert len({entry.group for entry in bimcv}) == 87


def test_copies_of_one_source_file_share_a_group() -> None:
    assert TABLE["COVID-129"].group == TABLE["COVID-752"].group


published = st.sampled_from(list(TABLE))


@given(published, st.booleans(), st.sampled_from(["-", " - ", "- "]), st.sampled_from(["", " "]))
def test_lookup_ignores_case_and_blanks(image_id: str, upper: bool, dash: str, blank: str) -> None:
    label, _, number = image_id.rpartition("-")
    name = f"{blank}{label}{dash}{number}{blank}"
    assert provenance.lookup(label, name.upper() if upper else name.lower()) is TABLE[image_id]


@pytest.mark.parametrize(
    ("label", "image_id"),
    [
        ("COVID", "COVID-phantom-1"),
        ("COVID", "COVID (1)"),
        ("COVID", "COVID-19 (1)"),
        ("Normal", "Normal 1"),
        ("COVID", "COVID-0"),
        ("COVID", "COVID-007"),
        ("COVID", "COVID-3617"),
        ("COVID", "COVID-\u0661"),
        ("COVID", "Normal-1"),
        ("Normal", "COVID-1"),
        ("Bacterial Pneumonia", "Bacterial Pneumonia-1"),
        ("COVID", ""),
    ],
)
def test_names_that_are_not_published_are_unknown(label: str, image_id: str) -> None:
    entry = provenance.lookup(label, image_id)
    assert (entry.source, entry.evidence) == ("unknown", "none")
    assert not entry.group
    assert not entry.split
    assert not entry.patient_id


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia", "kermany"),
        ("https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data", "rsna"),
        ("https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/#1590858128006", "bimcv"),
        ("https://github.com/ml-workgroup/covid-19-image-repository/tree/master/png", "hannover"),
        ("", "unknown"),
        ("https://example.org", "unknown"),
    ],
)
def test_short_source(url: str, source: str) -> None:
    assert provenance.short_source(url) == source


@pytest.mark.shared_data
def test_tool_reproduces_the_table(shared_data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.csv.gz"
    command = [sys.executable, "-m", "tools.make_provenance", str(shared_data), "--output", str(made)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    shipped = resources.files("tfds_cxr").joinpath(provenance.TABLE).read_bytes()
    # The text, not the archive: zlib versions differ in how they pack.
    assert gzip.decompress(made.read_bytes()) == gzip.decompress(shipped)
