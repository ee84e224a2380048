"""Files that are damaged, or were made to do harm: read, or refused in one line, and never a traceback."""

import contextlib
import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import ImageError
from cxr_keras3.pacs import archive
from cxr_keras3.pacs.connection import RefusedError
from tests import readers
from tests.readers import READERS

SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda valid: b"",
    "half": lambda valid: valid[: len(valid) // 2],
    "noise": lambda valid: bytes(np.random.default_rng(0).integers(0, 256, 3000, np.uint8)),
    "other bytes": lambda valid: bytes(byte ^ 0x41 if index % 97 == 50 else byte for index, byte in enumerate(valid)),
    "deep": lambda valid: b"[" * 100_000,
    "nothing": lambda valid: b"null",
    "field too long": lambda valid: valid[:40] + b'"' + b"x" * 200_000 + b"\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        readers.prepare(place)
        readers.hasten(place, patch.setattr)
        yield place


@contextlib.contextmanager
def holding(path: Path, content: bytes) -> Iterator[None]:
    """Within it, a file has other content."""
    valid = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        for journal in ("-wal", "-shm"):
            path.with_name(path.name + journal).unlink(missing_ok=True)
        path.write_bytes(valid)


def files_of(folder: Path, name: str) -> list[Path]:
    path = folder / READERS[name].file
    return sorted(path.iterdir()) if path.is_dir() else [path]


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(folder: Path, name: str) -> None:
    for path in files_of(folder, name):
        with holding(path, path.read_bytes()):
            READERS[name].read(folder, path)


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("name", READERS)
def test_spoilt_files_are_read_or_refused_in_one_line(folder: Path, name: str, spoilt: str) -> None:
    path = files_of(folder, name)[0]
    with holding(path, SPOILT[spoilt](path.read_bytes())):
        try:
            READERS[name].read(folder, path)
        except (UserError, ImageError) as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 -- it need not be refused


def changed(valid: bytes, **values: object) -> bytes:
    return json.dumps(json.loads(valid) | values).encode()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def claiming(shape: str) -> bytes:
    """A gate whose mean claims to be larger than it is."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mean.npy", member)
    return buffer.getvalue()


def inflating(valid: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, mean=np.zeros(10_000_000))
    return buffer.getvalue()


def with_bytes(valid: bytes, column: str, *, kind: pa.DataType | None = None) -> bytes:
    """A Parquet table one of whose columns holds bytes that are no text, under whatever type."""
    table = pq.read_table(io.BytesIO(valid))
    binary = pa.array([b"\xb0\xff"] * len(table), pa.binary())
    values = binary if kind is None else pa.Array.from_buffers(kind, len(binary), binary.buffers())
    buffer = io.BytesIO()
    pq.write_table(table.set_column(table.column_names.index(column), column, values), buffer)
    return buffer.getvalue()


MADE = [
    ("gate", lambda valid: claiming("(25_000_000_000,)"), "is not a gate"),
    ("gate", inflating, "its arrays are larger than the file"),
    ("gate", lambda valid: npz(schema_version=np.array(3), mean=np.ones(3)), "is not a gate"),
    ("gate", lambda valid: npz(schema_version=np.array([2, 2])), "schema version"),
    ("checkpoint", lambda valid: npz(journal=np.frombuffer(b"[" * 100_000, np.uint8)), "is not a checkpoint"),
    ("manifest", lambda valid: changed(valid, config={"backbone": ["x"]}), "plain backbone"),
    ("manifest", lambda valid: changed(valid, config={"backbone": "x", "region": {}}), "plain region"),
    ("manifest", lambda valid: changed(valid, class_names=["Normal", "Normal"]), "plain class_names"),
    ("manifest", lambda valid: changed(valid, **{"a\nb": 1}), "it holds a b too"),
    ("manifest", lambda valid: changed(valid, **{"x" * 100_000: 1}), "…"),
    ("calibration", lambda valid: changed(valid, temperature=1e-300), "temperature must lie"),
    ("parity", lambda valid: changed(valid, checksums={"../../manifest.json": "0"}), "must be a file in"),
    ("graph", lambda valid: valid.replace(b'element_type="u8"', b'element_type="u4"', 1), "OpenVINO cannot compute"),
    ("segmenter", lambda valid: changed(valid, checksums={"/dev/zero": "0"}), "must be a file in"),
    ("metrics", lambda valid: changed(valid, by_class={}), "of the classes"),
    ("metrics", lambda valid: changed(valid, confusion_matrix=[[1]]), "of the classes"),
    (
        "metrics",
        lambda valid: valid.replace(b'"images": [\n          100', b'"images": [\n          0'),
        "at least one image",
    ),
    ("predictions", lambda valid: re.sub(rb"0\.1\d*", b"nan", valid), "probabilities in 0..1"),
    ("settings", lambda valid: b"{", "must hold the settings"),
    ("results jsonl", lambda valid: b'{"file": ["a"], "accepted": 1}\n', "of another kind"),
    ("results jsonl", lambda valid: b"[1]\n", "of another kind"),
    ("results parquet", lambda valid: b"PAR1" + valid[4:-200] + b"PAR1", "cannot be read as results"),
    ("bulk run", lambda valid: b"[1]", "is damaged"),
    ("results parquet", lambda valid: with_bytes(valid, "model"), "cannot be read as results"),
    ("bulk part", lambda valid: with_bytes(valid, "file", kind=pa.string()), "holds a part that is damaged"),
    ("bulk part", lambda valid: valid[:300], "holds a part that is damaged"),
    ("labels", lambda valid: b"path,label\n" + b"x" * 200_000, "must be a CSV file"),
]


@pytest.mark.parametrize(("name", "make", "words"), MADE)
def test_made_files_are_refused_in_words(folder: Path, name: str, make: Callable[[bytes], bytes], words: str) -> None:
    (path,) = files_of(folder, name)
    made = make(path.read_bytes())
    assert made != path.read_bytes()
    with holding(path, made):
        if not words:
            READERS[name].read(folder, path)
            return
        with pytest.raises(UserError, match=re.escape(words)) as refused:
            READERS[name].read(folder, path)
    assert len(str(refused.value)) < 4000


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("gateway", "UPDATE study SET reasons = '[[['"),
        ("gateway", "UPDATE study SET attempts = 'often'"),
        ("gateway", "UPDATE setting SET value = ''"),
        ("gateway", "DELETE FROM setting"),
        ("gateway", "DROP TABLE study"),
        ("feedback", "UPDATE answers SET sha256 = '../../../answers'"),
        ("feedback", "DROP TABLE answers; CREATE TABLE answers (id)"),
    ],
)
def test_databases_of_other_content_are_refused(folder: Path, name: str, statement: str) -> None:
    (path,) = files_of(folder, name)
    with holding(path, path.read_bytes()):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(statement)
        with pytest.raises(UserError, match=re.escape(path.name)):
            READERS[name].read(folder, path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header: "no header",
        lambda header: header | {"00080018": {"vr": "UI"}},
        lambda header: header | {"0020000D": {"vr": "UI", "Value": []}},
        lambda header: header | {"00080060": {"Value": ["DX"]}},
        lambda header: header | {"00080060": {"vr": "US", "Value": ["DX"]}},
    ],
)
def test_headers_that_no_archive_should_send_are_refused(
    folder: Path, spoil: Callable[[dict[str, object]], object]
) -> None:
    (path,) = files_of(folder, "archive")
    spoilt = json.dumps(spoil(json.loads(path.read_text()))).encode()
    with holding(path, spoilt), pytest.raises(RefusedError, match=r"cannot be used|without its UID"):
        archive.radiographs(readers.Archive(path), archive.ListedStudy("1.2.3", 1))


@pytest.mark.parametrize("name", ["gateway", "feedback"])
def test_a_database_whose_schema_is_no_text_is_refused(folder: Path, name: str) -> None:
    (path,) = files_of(folder, name)
    valid = path.read_bytes()
    table = {"gateway": b"study", "feedback": b"answers"}[name]
    spoilt = valid.replace(b"table" + table * 2, b"table\xcc\xff" + table[2:] + table, 1)
    spoilt = spoilt.replace(b"CREATE TABLE " + table, b"CREATE TABLX " + table, 1)
    assert spoilt != valid
    with (
        holding(path, spoilt),
        pytest.raises(UserError, match=re.escape(path.name)) as refused,
    ):
        READERS[name].read(folder, path)
    assert "\n" not in str(refused.value)


def test_attempts_without_end_are_put_off_as_long_as_any(folder: Path) -> None:
    (path,) = files_of(folder, "gateway")
    with holding(path, path.read_bytes()):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript("UPDATE study SET attempts = 100000")
        READERS["gateway"].read(folder, path)
