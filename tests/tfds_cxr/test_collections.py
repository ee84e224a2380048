"""Collections beside the database: what each adapter reads, builds and refuses."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from tests.tfds_cxr import copies_of_collections as copies
from tfds_cxr import database, provenance, splits
from tfds_cxr.collections import NAMES, building, finding, fingerprints
from tfds_cxr.collections import __main__ as make_fingerprints
from tfds_cxr.collections.table import LATERAL, NO_RADIOGRAPH, OTHER_ABNORMAL, UNLABELLED, Film
from tfds_cxr.database import DatabaseError
from tfds_cxr.labels import LABELS

COVID, OPACITY, NORMAL, VIRAL = LABELS

# What the copies of `copies_of_collections` are: the classes of their frontal films.
EXPECTED = {
    "actualmed": {COVID: 1, NORMAL: 1, UNLABELLED: 1},
    "bimcv": {COVID: 2},
    "chexpert": {NORMAL: 1, OPACITY: 1, UNLABELLED: 1, OTHER_ABNORMAL: 1},
    "covid_cxnet": {COVID: 3},
    "covidgr": {COVID: 2, NORMAL: 1},
    "eurorad": {COVID: 3},
    "figshare_covid": {COVID: 3},
    "hannover": {COVID: 3},
    "ieee8023": {COVID: 2, OPACITY: 1, VIRAL: 1},
    "kermany": {NORMAL: 2, OPACITY: 2, VIRAL: 2},
    "montgomery": {NORMAL: 1, OTHER_ABNORMAL: 1},
    "nih": {OPACITY: 1, NORMAL: 1, OTHER_ABNORMAL: 1},
    "openi": {NORMAL: 1, OPACITY: 1, OTHER_ABNORMAL: 1},
    "padchest": {OPACITY: 1, NORMAL: 1, UNLABELLED: 1},
    "ricord_1c": {COVID: 3},
    "rsna": {OPACITY: 2, NORMAL: 1, OTHER_ABNORMAL: 1},
    "shenzhen": {NORMAL: 1, OTHER_ABNORMAL: 2},
    "sirm": {COVID: 3},
    "vindr": {OPACITY: 2, NORMAL: 1, OTHER_ABNORMAL: 1},
}

# How many of them are in each split.
SPLITS = {
    "actualmed": {"train": 2, "validation": 1},
    "bimcv": {"test": 2},
    "chexpert": {"train": 3, "validation": 1},
    "covid_cxnet": {"train": 3},
    "covidgr": {"train": 2, "validation": 1},
    "eurorad": {"train": 3},
    "figshare_covid": {"train": 3},
    "hannover": {"train": 1, "validation": 2},
    "ieee8023": {"train": 2, "validation": 2},
    "kermany": {"train": 6},
    "montgomery": {"train": 1, "validation": 1},
    "nih": {"train": 3},
    "openi": {"train": 2, "validation": 1},
    "padchest": {"train": 1, "validation": 1, "test": 1},
    "ricord_1c": {"train": 3},
    "rsna": {"train": 3, "validation": 1},
    "shenzhen": {"train": 1, "validation": 1, "test": 1},
    "sirm": {"train": 3},
    "vindr": {"train": 2, "test": 2},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of every collection."""
    folder = tmp_path_factory.mktemp("collections")
    assert dict(copies.all_of(folder)).keys() == set(NAMES)
    return folder


@pytest.fixture(autouse=True)
def few_fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database of one film: the phantom that no copy holds at first, and some hold later."""
    known = fingerprints.of([copies.film(77)], ["COVID-12"])
    (tmp_path / "known.npz").write_bytes(fingerprints.packed(known))
    monkeypatch.setenv(fingerprints.OTHER, str(tmp_path / "known.npz"))
    fingerprints.load.cache_clear()
    yield
    fingerprints.load.cache_clear()


def films(name: str, folder: Path) -> list[Film]:
    collection = finding.builder_class(name).COLLECTION
    with database.found(folder, collection.is_root, what=collection.title, expected=collection.layout) as place:
        return list(collection.films(place))


def examples(builder: building.CollectionBuilder) -> dict[str, dict]:
    return {
        example["image_id"].decode(): example | {"split": split}
        for split in builder.info.splits
        for example in builder.as_data_source(split)
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_collection_is_listed_and_labelled(name: str, root: Path) -> None:
    collection = finding.builder_class(name).COLLECTION
    found = [film for film in films(name, root / name) if film.view not in (LATERAL, NO_RADIOGRAPH) and film.path]
    assert Counter(collection.label(film) for film in found) == EXPECTED[name]
    assert collection.name == name
    assert len({film.name for film in found}) == len(found)
    for film in found:
        assert not film.patient or film.patient.count(":") == 1


def test_patient_age_sex_view_and_device_are_read_where_given(root: Path) -> None:
    def facts(name: str, file: str) -> tuple[object, ...]:
        (film,) = (film for film in films(name, root / name) if file in film.name)
        return film.patient, film.age, film.sex, film.view, film.device

    assert facts("bimcv", "E06161_run-1") == ("bimcv:S03044", 61, "F", "AP", "MAKER")
    assert facts("padchest", "1_c") == ("padchest:3138", 42, "M", "AP", "Philips")
    assert facts("vindr", "d.dicom") == ("", 45, "M", "PA", "PHANTOM")
    assert facts("montgomery", "0001") == ("montgomery:0001", 27, "F", "PA", "")
    assert facts("shenzhen", "0500") == ("shenzhen:0500", None, "M", "PA", "")  # an age in months
    assert facts("chexpert", "64541") == ("chexpert:64541", 68, "F", "AP", "")
    assert facts("rsna", "other-1") == ("nih:99999", 51, "F", "PA", "PHANTOM")


def test_films_that_the_database_holds_are_told_by_name_and_by_picture(root: Path, tmp_path: Path) -> None:
    names = {film.name: film.database_name for film in films("kermany", root / "kermany")}
    assert names["train/NORMAL/IM-0115-0001.jpeg"] == "Normal-63"
    assert names["train/PNEUMONIA/person7_virus_29.jpeg"] == ""
    copies.hannover(tmp_path / "copy")
    cropped = np.ascontiguousarray(copies.film(77)[4:-6, 3:-8])
    path = tmp_path / "copy" / "png" / "b343e657.png"
    path.write_bytes(images.encode_png(np.pad(cropped, ((9, 0), (0, 14)))))
    builder = copies.build("hannover", tmp_path / "copy", tmp_path / "data")
    found = examples(builder)
    assert found["b343e657.png"]["overlaps"] == b"COVID-12"
    assert found["b343e657.png"]["overlap_evidence"] == b"picture"
    assert {found[name]["overlaps"] for name in ("fff13f3a.png", "c9280a30.png")} == {b""}
    assert builder.info.metadata["overlaps"] == 1
    assert (Path(builder.data_path) / building.MISSING).read_text() == "not-there.png\n"
    row = provenance.load()["COVID-12"]
    assert (found["b343e657.png"]["group_id"].decode(), found["b343e657.png"]["split"]) == (row.group, row.split)
    # The other film of that patient goes with it.
    assert found["c9280a30.png"]["split"] == row.split


def test_patients_are_whole_across_collections_and_the_database(root: Path, tmp_path: Path) -> None:
    nih = examples(copies.build("nih", root / "nih", tmp_path))
    rsna = examples(copies.build("rsna", root / "rsna", tmp_path))
    row = provenance.load()["Lung_Opacity-1"]
    assert row.patient_id == "nih:1248"
    shared = [*(each for each in nih.values() if each["patient_id"] == b"nih:1248"),
              *(each for each in rsna.values() if each["patient_id"] == b"nih:1248")]  # fmt: skip
    assert len(shared) == 3
    assert {(each["group_id"].decode(), each["split"]) for each in shared} == {(row.group, row.split)}
    assert nih["00001248_026.png"]["overlaps"] == b"Lung_Opacity-1"
    assert nih["00001248_001.png"]["overlaps"] == b""
    assert nih["00000001_000.png"]["split"] == splits.split_of_group(nih["00000001_000.png"]["group_id"].decode())


def test_a_picture_with_white_air_is_turned_and_lateral_films_are_left_out(root: Path, tmp_path: Path) -> None:
    builder = copies.build("bimcv", root / "bimcv", tmp_path)
    found = examples(builder)
    assert len(found) == 2
    assert builder.info.metadata["left_out"] == {LATERAL: 1}
    turned = found["sub-S03044_ses-E06161_run-1_bp-chest_vp-ap_dx.png"]["image"][..., 0].astype(float)
    expected = images.canonical(copies.film(0))[..., 0].astype(float)
    assert np.corrcoef(turned.ravel(), expected.ravel())[0, 1] > 0.99


def test_bad_copies_are_refused_in_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="the manual folder must hold a copy of COVID-19 Image Repository"):
        copies.build("hannover", tmp_path / "missing", tmp_path / "data")
    (tmp_path / "empty").mkdir()
    copies.text(tmp_path / "empty" / "notes.txt", "nothing here")
    with pytest.raises(DatabaseError, match=r"no copy of NIH ChestX-ray14 found .* expected Data_Entry"):
        copies.build("nih", tmp_path / "empty", tmp_path / "data")
    copies.nih(tmp_path / "columns")
    copies.table(tmp_path / "columns" / "Data_Entry_2017_v2020.csv", ("Image Index", "Finding"), [])
    with pytest.raises(DatabaseError, match="missing Finding Labels, Patient ID"):
        copies.build("nih", tmp_path / "columns", tmp_path / "data")
    copies.nih(tmp_path / "damaged")
    for file in ("images_001/images/00001248_026.png", "images_003/images/00000001_000.png"):
        (tmp_path / "damaged" / file).write_bytes(b"no image")
    with pytest.raises(DatabaseError, match=r"2 of 3 are not: 00001248_026\.png: .*00000001_000\.png"):
        copies.build("nih", tmp_path / "damaged", tmp_path / "data")
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_fingerprints_are_made_from_a_copy_of_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, label in enumerate(LABELS):
        copies.picture(tmp_path / "copy" / label / "images" / f"{label}-{index + 1}.png", index)
    copies.picture(tmp_path / "copy" / COVID / "images" / "COVID-phantom-1.png", 5)
    assert make_fingerprints.main([str(tmp_path / "copy"), "--output", str(tmp_path / "made.npz")]) == 0
    assert "4 films read; 5 of the database's 21,165" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv(fingerprints.OTHER, str(tmp_path / "made.npz"))
    fingerprints.load.cache_clear()
    assert set(fingerprints.load().image_ids) == {
        "COVID-1", "COVID-12", "Lung_Opacity-2", "Normal-3", "Viral Pneumonia-4"
    }  # fmt: skip
    name, agreement = fingerprints.load().find(copies.film(2)[5:-5, 5:-5])
    assert (name, agreement >= fingerprints.SAME_FILM) == ("Normal-3", True)
    (tmp_path / "made.npz").write_bytes(b"no fingerprints")
    fingerprints.load.cache_clear()
    with pytest.raises(UserError, match="CXR_FINGERPRINTS must name a file of python"):
        fingerprints.load()


def test_a_collection_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be one of actualmed, bimcv"):
        finding.builder_class("unheard")
    with pytest.raises(UserError, match="run tfds build tfds_cxr/rsna"):
        finding.find("rsna", tmp_path)


def _case(name: str) -> type[tfds.testing.DatasetBuilderTestCase]:
    """TFDS's own checks of one collection's builder."""

    class Case(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = finding.builder_class(name)
        EXAMPLE_DIR: ClassVar = os.path.join(os.environ.get("TMPDIR", "/tmp"), "cxr_collections", name)  # noqa: PTH118, S108
        SPLITS: ClassVar = SPLITS[name]

        @classmethod
        def setUpClass(cls) -> None:
            copies.WRITERS[name](Path(cls.EXAMPLE_DIR))
            super().setUpClass()

    Case.__name__ = Case.__qualname__ = f"{name.title()}Test"
    Case.__module__ = __name__
    return Case


class KermanyTest(_case("kermany")):
    """One of them in every session, the others where slow tests run."""


for _name in sorted(set(NAMES) - {"kermany"}):
    globals()[f"Test_{_name}"] = pytest.mark.slow(_case(_name))
