"""Finding and listing a copy of the database, in all the forms people have it in."""

import shutil
import zipfile
from pathlib import Path

import openpyxl
import pytest

from cxr_keras3.images import ImageError
from tfds_cxr import database
from tfds_cxr.database import DatabaseError
from tfds_cxr.labels import LABELS

FOLDER = "COVID-19_Radiography_Dataset"


def listing(folder: Path) -> list[tuple[str, str, bool, str]]:
    with database.opened(folder) as root:
        files = database.list_files(root).files
    return [(file.label, file.filename, file.mask is not None, file.url) for file in files]


@pytest.fixture
def copy(database_dir: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic database to break."""
    return Path(shutil.copytree(database_dir, tmp_path / "copy"))


def zipped(folder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


@pytest.mark.parametrize("name", ["archive.zip", "covid19-radiography-database.zip", "deeper/archive.ZIP"])
def test_a_zip_lists_the_same_as_the_folder(database_dir: Path, tmp_path: Path, name: str) -> None:
    zipped(database_dir, tmp_path / name)
    assert listing(tmp_path) == listing(database_dir)


def test_the_folder_itself_and_its_parents_are_found(database_dir: Path) -> None:
    assert listing(database_dir / FOLDER) == listing(database_dir) == listing(database_dir.parent)


def test_every_file_has_its_mask_and_claimed_url(database_dir: Path) -> None:
    found = listing(database_dir)
    assert {label for label, *_ in found} == set(LABELS)
    assert all(mask and url.startswith("synthetic:") for _, _, mask, url in found)


def test_fingerprint_is_the_same_for_folder_and_zip_and_changes_with_a_file(copy: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path) -> str:
        with database.opened(folder) as root:
            return database.listing_fingerprint(database.list_files(root).files)

    zipped(copy, tmp_path / "zip" / "archive.zip")
    whole = fingerprint(copy)
    assert fingerprint(tmp_path / "zip") == whole
    next((copy / FOLDER / "Normal" / "images").iterdir()).unlink()
    assert fingerprint(copy) != whole


def test_older_layout_without_inner_folders(copy: Path) -> None:
    root = copy / FOLDER
    for label in LABELS:
        for path in (root / label / "images").iterdir():
            path.rename(root / label / path.name)
        shutil.rmtree(root / label / "images")
        shutil.rmtree(root / label / "masks")
    (root / "Normal").rename(root / "NORMAL")
    found = listing(copy)
    assert {label for label, *_ in found} == set(LABELS)
    assert not any(mask for _, _, mask, _ in found)


def test_metadata_names_match_without_case_and_blanks(copy: Path) -> None:
    sheet = copy / FOLDER / "Normal.metadata.xlsx"
    book = openpyxl.load_workbook(sheet)
    page = book.worksheets[0]
    for row in page.iter_rows(min_row=2, max_col=1):
        row[0].value = f" {str(row[0].value).upper()} "
    book.save(sheet)
    assert all(url for label, _, _, url in listing(copy) if label == "Normal")


def test_files_are_listed_in_the_order_of_their_numbers(database_dir: Path) -> None:
    names = [name for label, name, _, _ in listing(database_dir) if label == "COVID"]
    assert names[:3] == ["COVID-phantom-1.png", "COVID-phantom-2.png", "COVID-phantom-3.png"]


def test_a_missing_class_is_named(copy: Path) -> None:
    shutil.rmtree(copy / FOLDER / "Lung_Opacity")
    with pytest.raises(DatabaseError, match="Lung_Opacity"):
        listing(copy)


def test_renamed_metadata_columns_are_named(copy: Path) -> None:
    sheet = copy / FOLDER / "COVID.metadata.xlsx"
    book = openpyxl.load_workbook(sheet)
    book.worksheets[0]["D1"] = "LINK"
    book.save(sheet)
    with pytest.raises(DatabaseError, match=r"COVID\.metadata\.xlsx.*missing URL, found FILE NAME, .*LINK"):
        listing(copy)


def test_two_copies_are_not_chosen_between(copy: Path, database_dir: Path, tmp_path: Path) -> None:
    zipped(database_dir, tmp_path / "archive.zip")
    with pytest.raises(DatabaseError, match="2 copies"):
        listing(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"<html>not found</html>"])
def test_a_damaged_zip_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive.zip").write_bytes(content)
    with pytest.raises(DatabaseError, match=r"archive\.zip is not a readable zip"):
        listing(tmp_path)


def test_a_folder_without_a_database_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(DatabaseError, match="expected the folder COVID-19_Radiography_Dataset"):
        listing(tmp_path)
    with pytest.raises(DatabaseError, match="must exist"):
        listing(tmp_path / "missing")


def test_a_member_larger_than_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1_000_000))
    with zipfile.ZipFile(tmp_path / "bomb.zip") as archive:
        member = zipfile.Path(archive, "bomb.png")
        with pytest.raises(ImageError, match="at most 999 bytes"):
            database.read_bytes(member, limit=999)


def test_files_that_only_the_metadata_knows_are_named(copy: Path) -> None:
    for name in ("COVID-phantom-2.png", "COVID-phantom-11.png"):
        (copy / FOLDER / "COVID" / "images" / name).unlink()
    with database.opened(copy) as root:
        assert database.list_files(root).missing == ["COVID/COVID-phantom-2", "COVID/COVID-phantom-11"]
