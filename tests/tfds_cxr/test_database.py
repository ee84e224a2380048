"""Finding and listing a copy of the database, in all the forms people have it in."""

import contextlib
import io
import random
import shutil
import zipfile
from pathlib import Path

import openpyxl
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import ImageError
from tfds_cxr import database, preparation
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


def test_a_zip_of_windows_with_backslashes_lists_the_same(database_dir: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for path in sorted(database_dir.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(database_dir)).replace("/", "\\"))
                entry.create_system = 0
                archive.writestr(entry, path.read_bytes())
    assert listing(tmp_path) == listing(database_dir)


def test_a_zip_of_the_finder_lists_the_same(database_dir: Path, tmp_path: Path) -> None:
    zipped(database_dir, tmp_path / "archive.zip")
    with zipfile.ZipFile(tmp_path / "archive.zip", "a") as archive:
        for name in list(archive.namelist()):
            folder, _, file = name.rpartition("/")
            archive.writestr(f"__MACOSX/{folder}/._{file}", b"\0\5\x16\7")
    assert listing(tmp_path) == listing(database_dir)


def test_an_encrypted_zip_is_named_file_by_file(database_dir: Path, tmp_path: Path) -> None:
    path = zipped(database_dir, tmp_path / "archive.zip")
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 4)
    path.write_bytes(content)
    with pytest.raises(UserError, match="encrypted"), database.opened(tmp_path) as root:
        database.read_bytes(database.list_files(root).files[0].path)


def test_damaged_zips_raise_nothing_but_user_errors(database_dir: Path, tmp_path: Path) -> None:
    good = zipped(database_dir, tmp_path / "archive.zip").read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        content = bytearray(good)
        for _ in range(draw.choice((1, 3, 10))):
            anywhere = draw.randrange(len(good)), len(good) - 1 - draw.randrange(9000)
            content[draw.choice(anywhere)] = draw.randrange(256)
        (tmp_path / "archive.zip").write_bytes(content)
        with contextlib.suppress(UserError), database.opened(tmp_path) as root:
            for file in database.list_files(root).files[::9]:
                database.read_bytes(file.path)


def test_two_folders_of_one_class_are_not_chosen_between(copy: Path) -> None:
    with database.opened(copy) as root:
        shutil.copytree(root / "COVID", root / "covid")
        with pytest.raises(DatabaseError, match="COVID has COVID and covid"):
            database.list_files(root)


def test_images_beside_their_folder_are_not_left_out_without_a_word(copy: Path) -> None:
    film = next((copy / FOLDER / "Normal" / "images").iterdir())
    shutil.copy(film, copy / FOLDER / "Normal" / film.name)
    with pytest.raises(DatabaseError, match=rf"beside images/, such as {film.name}"), database.opened(copy) as root:
        database.list_files(root)


def test_a_sheet_that_openpyxl_stumbles_over_is_named(copy: Path) -> None:
    sheet = copy / FOLDER / "COVID.metadata.xlsx"
    content = io.BytesIO()
    with zipfile.ZipFile(sheet) as before, zipfile.ZipFile(content, "w") as after:
        for name in before.namelist():
            text = before.read(name)
            after.writestr(name, text.replace(b"<fill>", b"<fill/><fill>", 1) if name.endswith("styles.xml") else text)
    sheet.write_bytes(content.getvalue())
    with (
        pytest.raises(DatabaseError, match=r"COVID\.metadata\.xlsx is not a readable xlsx"),
        database.opened(copy) as root,
    ):
        database.list_files(root)


def test_names_are_ordered_by_their_numbers_however_long() -> None:
    names = ["a-" + "9" * 5000, "a-10", "a-2", "a-02", "b-1"]
    assert sorted(names, key=database.natural_key) == ["a-2", "a-02", "a-10", "a-" + "9" * 5000, "b-1"]


def test_a_damaged_mask_is_named_and_not_its_film(copy: Path) -> None:
    mask = next((copy / FOLDER / "COVID" / "masks").iterdir())
    mask.write_bytes(b"damaged")
    with database.opened(copy) as root:
        (file,) = [file for file in database.list_files(root).files if file.mask and file.mask.name == mask.name][:1]
    found = preparation.decode(file)
    assert isinstance(found, UserError)
    assert f"masks/{mask.name}" in str(found)
