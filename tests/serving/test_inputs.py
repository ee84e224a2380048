"""What is scored: files, folders, archives that mean harm, lists."""

import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import ImageError
from cxr_keras3.serving import inputs


def names(found) -> list[str]:
    return [source.name for source in found]


def test_folders_are_searched_and_nothing_counts_twice(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.png", "a/.hidden", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = inputs.find([tmp_path / "c.png", tmp_path, tmp_path / "a"])
    assert names(found) == [str(tmp_path / name) for name in ("c.png", "a/1.png", "b/2.png")]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.png"):
        inputs.find([tmp_path / "missing.png"])
    with pytest.raises(UserError, match="at least one file"):
        inputs.find([tmp_path])
    (tmp_path / "not.zip").write_text("text")
    with pytest.raises(UserError, match=r"not\.zip"):
        inputs.find([tmp_path / "not.zip"])


def test_a_zip_is_read_in_place_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("a/1.png", b"first"), ("../1.png", b"outside"), ("__MACOSX/1.png", b""), ("a/.x", b"")):
            archive.writestr(name, content)
        archive.mkdir("empty")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/1.png", b"second")
    found = inputs.find([path])
    assert names(found) == [f"{path}/{name}" for name in ("a/1.png", "../1.png", "a/1.png#2")]
    assert [source.content() for source in found] == [b"first", b"outside", b"second"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["films.zip"]


def test_no_more_of_an_archive_is_read_than_an_image_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(10_000_000))
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 1000)
    (source,) = inputs.find([path])
    assert len(source.content()) == 1001  # one too many, so that the decoder refuses it
    monkeypatch.setattr(inputs, "MAX_ARCHIVE_ENTRIES", 0)
    with pytest.raises(UserError, match="at most 0 files"):
        inputs.find([path])


def test_damaged_and_encrypted_entries_say_so(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
    whole = path.read_bytes()
    encrypted = bytearray(whole)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[whole.index(mark) + at] |= 1
    damaged = bytearray(whole)
    damaged[60:90] = bytes(30)
    for content in (encrypted, damaged):
        path.write_bytes(content)
        (source,) = inputs.find([path])
        with pytest.raises(ImageError, match="cannot be read from the zip"):
            source.content()


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@given(st.sampled_from(METHODS), st.binary(max_size=30), st.integers(0, 2000))
@example(zipfile.ZIP_DEFLATED, bytes(21) + b"\x1a", 128)  # a name that is not UTF-8
def test_a_mutated_zip_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, method: int, noise: bytes, at: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for index in range(5):
            archive.writestr(f"{index}.png", bytes([index]) * 50)
    content = bytearray(buffer.getvalue())
    start = at % len(content)
    content[start : start + len(noise)] = noise
    path = tmp_path_factory.mktemp("zip") / "films.zip"
    path.write_bytes(content)
    try:
        found = inputs.find([path])
    except UserError:
        return
    for source in found:
        with contextlib.suppress(ImageError):  # and nothing else
            assert len(source.content()) <= 50


def test_a_list_gives_each_name_once() -> None:
    assert names(inputs.listed(["a.png\n", "\n", "b c.png\r\n", "a.png\n", "d.png"])) == ["a.png", "b c.png", "d.png"]


@given(st.text())
def test_a_printable_name_stays_on_its_line_and_can_be_encoded(name: str) -> None:
    shown = inputs.printable(name)
    assert shown.isprintable()
    shown.encode()
    assert inputs.printable(shown) == shown


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_lists_are_read_as_shells_write_them(encoding: str) -> None:
    text = "a.png\n胸片.png\r\nb.png"
    content = text.encode(encoding)
    if encoding == "utf-16-be":
        content = b"\xfe\xff" + content
    found = names(inputs.listed(inputs.read_list(io.BytesIO(content))))
    assert found == ["a.png", "胸片.png", "b.png"]


def test_an_empty_list_names_nothing() -> None:
    assert names(inputs.listed(inputs.read_list(io.BytesIO(b"")))) == []
