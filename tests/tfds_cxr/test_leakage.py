"""Leakage by names: known truth on a few files, the known figures of random splits, and no leak in the official one."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_keras3.base.errors import UserError
from tfds_cxr import leakage, leaks, provenance
from tfds_cxr.labels import PUBLISHED_COUNTS

TABLE = provenance.load()
entries = st.sampled_from(list(TABLE.values()))


def by_key(found: list[leaks.Leak]) -> dict[tuple[str, str], leaks.Leak]:
    return {(leak.label, leak.source): leak for leak in found}


def two_films_of_one_patient() -> tuple[str, str]:
    first: dict[str, str] = {}
    for entry in TABLE.values():
        if entry.source == "rsna" and entry.patient_id:
            if entry.patient_id in first:
                return first[entry.patient_id], entry.image_id
            first[entry.patient_id] = entry.image_id
    raise AssertionError


def test_known_truth_on_a_few_files() -> None:
    one, other = two_films_of_one_patient()
    train = [TABLE[name] for name in (one, "COVID-1894", "COVID-1")]
    test = [TABLE[name] for name in (other, "COVID-1895", "COVID-3", "Normal-63")]
    found = by_key(leaks.measure(train, test))
    assert found["all", "all"] == leaks.Leak("all", "all", 4, 2, 1, 2)  # the neighbour in BIMCV's block by group only
    assert found["COVID", "bimcv"].group_in_training == 1
    assert found["COVID", "bimcv"].share == 0
    assert found["Normal", "kermany"].share == 0


@given(st.lists(entries, max_size=30), st.lists(entries, min_size=1, max_size=30))
def test_counts_are_consistent(train: list[provenance.Provenance], test: list[provenance.Provenance]) -> None:
    *parts, whole = leaks.measure(train, test)
    assert whole.test_images == len(test) == sum(part.test_images for part in parts)
    for leak in (*parts, whole):
        assert leak.patient_in_training <= leak.group_in_training <= leak.test_images
        assert leak.patient_in_training <= leak.patient_known


@pytest.mark.parametrize(("shares", "opacity", "normal"), [((80, 20), 0.794, 0.387), ((70, 15, 15), 0.774, 0.366)])
def test_random_splits_leak_as_documented(shares: tuple[int, ...], opacity: float, normal: float) -> None:
    found = by_key(leaks.random_leak(shares, seed=0, repeats=5, stratified=False))
    assert found["Lung_Opacity", "rsna"].share == pytest.approx(opacity, abs=0.03)
    assert found["Normal", "rsna"].share == pytest.approx(normal, abs=0.03)
    assert found["all", "all"].test_images == pytest.approx(shares[-1] / 100 * len(TABLE), abs=1)


def test_the_official_split_leaks_nothing_and_holds_every_file() -> None:
    split = leaks.official_split()
    assert sum(map(len, split.values())) == len(TABLE) == 21_165
    rows = leaks.describe(split)
    for label, published in PUBLISHED_COUNTS.items():
        assert sum(row[label] for row in rows) == published
    for kept, others in (("test", ("train", "validation")), ("validation", ("train",))):
        found = leaks.measure([entry for other in others for entry in split[other]], split[kept])
        assert all(leak.group_in_training == 0 for leak in found)


def test_lists_are_read_as_people_write_them(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("COVID-1.png\nCOVID/images/COVID-2.png\nNORMAL-63\n\nD:\\data\\Viral Pneumonia-1.png\n")
    table = tmp_path / "table.csv"
    table.write_text("\ufefffile,label\nLung_Opacity-1.png,1\n", encoding="utf-8")
    names = [entry.image_id for path in (plain, table) for entry in leaks.listed(path)]
    assert names == ["COVID-1", "COVID-2", "Normal-63", "Viral Pneumonia-1", "Lung_Opacity-1"]


@pytest.mark.parametrize("text", ["", "file\n", "COVID-1.png\nCOVID-9999.png\n", "cat.png\n"])
def test_a_list_of_other_files_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UserError, match="must name files of the database"):
        leaks.listed(path)


def test_the_command_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = two_films_of_one_patient()
    for name, image_id in (("train.txt", one), ("test.txt", other)):
        (tmp_path / name).write_text(f"{image_id}.png\n")
    given_lists = ["--train", str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.txt")]
    assert leakage.main([*given_lists, "--output", str(tmp_path / "out.csv")]) == 0
    assert leakage.main([*given_lists, "--output", str(tmp_path / "out.json")]) == 0
    assert "100.0%" in capsys.readouterr().out
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["share"] == "1.0"
    assert [
        {key: str(value) for key, value in row.items()} for row in json.loads((tmp_path / "out.json").read_text())
    ] == rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "none"),
        (["--train", "x"], "none"),
        (["--shares", "80", "30"], "add up to 100"),
        (["--shares", "100"], "add up to 100"),
        (["--shares", "80", "20", "--repeats", "0"], "at least 1"),
        (["--official", "--output", "x.xlsx"], "csv or .json"),
        (["--train", "nowhere.txt", "--test", "nowhere.txt"], "nowhere.txt must be a text file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        leakage.main(arguments)
