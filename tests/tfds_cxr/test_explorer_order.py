"""The order of Windows Explorer, and the numbers it gave to RSNA's films."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfds_cxr import provenance
from tools import explorer_order
from tools.explorer_order import explorer_key

names = st.text("0123456789abcdef-", max_size=12)


@pytest.mark.parametrize(
    "ordered",
    [
        ["2", "10"],  # by value, not by character
        ["a2b", "a10b"],
        ["002", "02", "2", "3"],  # of equal value the one with more leading zeros first
        ["0a6a", "0a8d", "1a00"],
        ["9", "a"],  # digits before letters
        ["abc", "abd", "b"],
    ],
)
def test_names_stand_as_explorer_shows_them(ordered: list[str]) -> None:
    backwards = ordered[::-1]
    assert sorted(backwards, key=explorer_key) == ordered


@given(st.lists(names, unique=True))
def test_the_order_is_total(given_names: list[str]) -> None:
    assert len({explorer_key(name) for name in given_names}) == len(given_names)


@pytest.mark.parametrize("label", ["Lung_Opacity", "Normal"])
def test_the_rule_gives_the_numbers_of_the_table_from_the_names_alone(label: str) -> None:
    rows = {e.rsna_id: e.image_id for e in provenance.load().values() if e.rsna_id and e.image_id.startswith(label)}
    found = explorer_order.numbers(label, reversed(rows))
    assert {name: f"{label}-{number}" for name, number in found.items()} == rows


def test_a_name_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="6012 names, got 2"):
        explorer_order.numbers("Lung_Opacity", ["a", "b"])


@pytest.mark.shared_data
def test_films_matched_by_pixels_are_where_the_order_says(shared_data: Path) -> None:
    with (shared_data / "provenance/rsna_pixel_matches.csv").open(newline="") as file:
        matches = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    assert len(matches) == 100
    for image_id, row in matches.items():
        entry = provenance.load()[image_id]
        assert (entry.nih_file, entry.rsna_id) == (row["nih_file_by_pixels"], row["rsna_id"])
        assert entry.patient_evidence == "pixels"
