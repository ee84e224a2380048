"""Bulk scoring before and after the model: what is listed and read, archives that mean harm, the tables. No Ray."""

import contextlib
import hashlib
import io
import itertools
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cxr_keras3.base.errors import UserError
from cxr_keras3.bulk import bundle, listing, reading, tables
from cxr_keras3.bulk.listing import Location
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.run.folder import MANIFEST, SEGMENTER, Run
from tests import drawn_run, image_files

ORIGIN = tables.Origin(tables.SCHEMA_VERSION, "mine", "0123456789abcdef", "openvino", "1.0")
PNG = image_files.encoded(image_files.picture(), "PNG")
NAMES = ("COVID", "Normal")


def names(found: list[Location]) -> list[str]:
    return [location.name for location in found]


def tar(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_folders_patterns_archives_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("films/a/1.png", "films/2.png", "films/.hidden", "more/3.png", "more/[4].png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())
    tar(Path("shard.tar"), [("5.png", b"five"), ("x/.no", b""), ("5.png", b"again")])
    with zipfile.ZipFile("shard.zip", "w") as archive:
        archive.writestr("6.png", "six")
    pq.write_table(pa.table({"path": ["more/3.png", "gone.png", f"file://{tmp_path}/films/2.png"]}), "list.parquet")
    found = listing.films(["films", "more/*.png", "more/[4].png", "shard.tar", "shard.zip", "list.parquet"])
    assert names(found) == [
        *("films/2.png", "films/a/1.png", "more/3.png", "more/[4].png"),
        *("shard.tar/5.png", "shard.tar/5.png#2", "shard.zip/6.png", "gone.png", f"file://{tmp_path}/films/2.png"),
    ]
    monkeypatch.chdir("/")  # a worker of Ray's works elsewhere
    contents = [reading.read(location) for location in found if location.name != "gone.png"]
    assert contents == [
        *(b"films/2.png", b"films/a/1.png", b"more/3.png", b"more/[4].png"),
        *(b"five", b"again", b"six", b"films/2.png"),
    ]


def test_what_a_store_holds_is_listed_and_read() -> None:
    store = fsspec.filesystem("memory")
    for name in ("films/1.png", "films/deep/2.png", "films/.hidden"):
        store.pipe_file(f"/store/{name}", name.encode())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty.png"))
    store.pipe_file("/store/shard.tar", buffer.getvalue())
    found = listing.films(["memory://store/films", "memory://store/*.tar", "memory://store/films/deep/2.png"])
    prefix = "memory:///store"
    assert names(found) == [f"{prefix}/{name}" for name in ("films/1.png", "films/deep/2.png", "shard.tar/empty.png")]
    assert [reading.read(location) for location in found] == [b"films/1.png", b"films/deep/2.png", b""]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ("missing.png", "missing.png"),
        ("none-*.png", "nothing matches none-"),
        ("memory://nowhere", "found none at memory://nowhere"),
        ("nosuch://store", "nosuch://store"),
        ("bad.tar", "bad.tar cannot be read as an uncompressed tar"),
        ("bad.parquet", "bad.parquet cannot be read as a Parquet list"),
        ("wrong.parquet", "must have the column 'path'"),
        ("numbers.parquet", "must name files"),
    ],
)
def test_inputs_that_cannot_be_are_named(
    given_: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bad.tar", "bad.parquet"):
        Path(name).write_text("text")
    pq.write_table(pa.table({"file": ["a"]}), "wrong.parquet")
    pq.write_table(pa.table({"path": [1]}), "numbers.parquet")
    with pytest.raises(UserError, match=words) as error:
        listing.films([given_])
    assert "\n" not in str(error.value)


def test_a_tar_is_never_unpacked_and_only_files_count(tmp_path: Path) -> None:
    path = tmp_path / "hostile.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("fifo", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("../../outside.png", "/absolute.png", "inside.png"):
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            archive.addfile(info, io.BytesIO(PNG))
    found = listing.films([str(path)])
    assert names(found) == [f"{path}/{name}" for name in ("../../outside.png", "/absolute.png", "inside.png")]
    assert all(reading.read(location) == PNG for location in found)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hostile.tar"]


def test_a_tar_that_ends_early_is_refused_and_one_that_ends_later_is_a_matter_of_its_film(tmp_path: Path) -> None:
    path = tar(tmp_path / "films.tar", [("1.png", PNG), ("2.png", PNG)])
    whole = path.read_bytes()
    found = listing.films([str(path)])
    path.write_bytes(whole[: found[1].span[0] + 100])
    with pytest.raises(ImageError, match="cut off"):
        reading.read(found[1])
    assert reading.read(found[0]) == PNG
    with pytest.raises(UserError, match=r"films\.tar"):
        listing.films([str(path)])


def test_no_more_of_a_file_is_read_than_an_image_may_have(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1000)  # takes no space
    (location,) = listing.films([str(path)])
    assert len(reading.read(location)) == MAX_FILE_BYTES + 1
    decoded = reading.decode(location)
    assert (decoded.key, decoded.film) == ("", None)
    assert "128 MiB" in decoded.reason


@given(st.binary(max_size=40), st.integers(0, 5000))
@example(b"\xff" * 12, 124)  # a size that is negative
@example(b"", 0)
def test_a_mutated_tar_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    path = tar(tmp_path_factory.mktemp("tar") / "films.tar", [(f"{index}.png", bytes(50)) for index in range(5)])
    content = bytearray(path.read_bytes())
    start = at % 5000
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    try:
        found = listing.films([str(path)])
    except UserError:
        return
    for location in found:
        with contextlib.suppress(ImageError):  # and nothing else
            assert len(reading.read(location)) <= len(content)


def test_the_key_is_the_uid_or_the_hash(tmp_path: Path) -> None:
    dicom = image_files.dicom(image_files.picture(480, 400, levels=4096), bits=12)
    for name, content in (("1.png", PNG), ("2.dcm", dicom), ("3.png", b"no film")):
        (tmp_path / name).write_bytes(content)
    png, film, broken = map(reading.decode, listing.films([str(tmp_path)]))
    assert png.key == f"sha256:{hashlib.sha256(PNG).hexdigest()}"
    assert film.key == image_files.SOP_INSTANCE_UID
    assert film.film.pixels.shape == (299, 299)
    assert broken.key == f"sha256:{hashlib.sha256(b'no film').hexdigest()}"
    assert (broken.film, broken.reason[:11]) == (None, "the file is")


def test_a_machine_that_does_not_see_the_inputs_is_no_reason_to_refuse_films(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="every machine of the cluster must see the inputs"):
        reading.decode(Location("film.png", os.fspath(tmp_path / "film.png")))
    refused = reading.decode(Location("film.png", os.fspath(tmp_path / "film.png"), listed=False))
    assert "cannot be opened" in refused.reason


def test_a_silent_store_is_no_reason_to_refuse_films(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(fsspec, "open", fail)
    with pytest.raises(UserError, match=reading.STORE_SILENT):
        reading.decode(Location("film.png", "s3://bucket/film.png"))


def record(name: str, *, accepted: bool = True) -> dict:
    return {
        "key": "sha256:0",
        "file": name,
        "accepted": accepted,
        "reject_reason": "" if accepted else "no film",
        "probabilities": {"COVID": 0.25, "Normal": 0.75} if accepted else {},
        "predicted": "Normal" if accepted else "",
        "prediction_set": ("Normal",) if accepted else None,
        "abnormal_score": 0.25 if accepted else None,
        "flag": False if accepted else None,
        "withheld": "",
        "site": "",
        "distance": 0.25 if accepted else None,
        "evidence_in_lungs": 0.5 if accepted else None,
        "warnings": ("a warning",),
        "model": "mine",
        "version": "1.0",
        "sop_instance_uid": "",
    }


@pytest.fixture(params=["disk", "store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "out") if request.param == "disk" else f"memory://{tmp_path.name}/out"


def test_what_is_written_is_found_and_written_again_to_the_same_place(root: str) -> None:
    files = [f"{index}.png" for index in range(4)]
    records = [record(name, accepted=name != "2.png") for name in files]
    with tables.claimed(root, ORIGIN):
        assert tables.done(root).names() == set()
        for _ in range(2):  # as Ray does where a node is lost
            assert tables.write(root, tables.part_name(files), records, class_names=NAMES) == (3, 1)
    found = tables.done(root)
    assert (found.scored, found.refused) == (["0.png", "1.png", "3.png"], ["2.png"])
    with fsspec.open(f"{root}/scored/{tables.part_name(files)}") as file:
        rows = pq.read_table(file).to_pylist()
    expected = record("0.png")
    probabilities = expected.pop("probabilities")
    listed = {name: list(expected[name]) for name in ("prediction_set", "warnings")}
    assert rows[0] == expected | probabilities | listed


def test_only_whole_parts_are_seen(tmp_path: Path) -> None:
    root, seen = str(tmp_path), set()
    with tables.claimed(root, ORIGIN):
        (tmp_path / "scored").mkdir()
        torn = tmp_path / "scored" / ".part-torn.parquet.0.partial"
        torn.mkdir()
        (torn / "part-torn.parquet").write_bytes(b"torn")
        tables.write(root, "part-1.parquet", [record("1.png")], class_names=NAMES)
        assert tables.done(root).names() == {"1.png"}
    with tables.claimed(root, ORIGIN):
        seen = {path.name for path in (tmp_path / "scored").iterdir()}
    assert seen == {"part-1.parquet"}


def test_an_output_is_of_one_model_and_one_command(tmp_path: Path, root: str) -> None:
    with tables.claimed(root, ORIGIN):
        pass
    other = tables.Origin(*itertools.islice(vars(ORIGIN).values(), 2), "fedcba9876543210", "openvino", "1.0")
    with (
        pytest.raises(UserError, match="fingerprint '0123456789abcdef', not 'fedcba9876543210'"),
        tables.claimed(root, other),
    ):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(UserError, match="new or empty"), tables.claimed(str(tmp_path / "mine"), ORIGIN):
        pass
    if not listing.is_uri(root):
        with (
            tables.claimed(root, ORIGIN),
            pytest.raises(UserError, match="one command at a time"),
            tables.claimed(root, ORIGIN),
        ):
            pass


def test_two_rows_for_a_film_are_found_out(tmp_path: Path) -> None:
    for part in ("part-1.parquet", "part-2.parquet"):
        tables.write(str(tmp_path), part, [record("1.png")], class_names=NAMES)
    with pytest.raises(UserError, match="must have one row for a film"):
        tables.done(str(tmp_path)).names()


def test_a_run_travels_whole_and_keeps_its_fingerprint(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "run")
    run = Run.open(folder)
    bundle.unpack(bundle.pack(run, "openvino"), tmp_path / "there")
    for file in ("manifest.json", "calibration.json", "export/openvino/model.xml", "export/openvino/model.bin"):
        assert (tmp_path / "there" / file).read_bytes() == (folder / file).read_bytes()
    assert Run.open(tmp_path / "there").fingerprint == run.fingerprint
    (folder / "history.csv").write_text("loss")
    assert Run.open(folder).fingerprint == run.fingerprint
    with (folder / "calibration.json").open("a") as file:
        file.write("\n")
    assert Run.open(folder).fingerprint != run.fingerprint
    with pytest.raises(UserError, match="runtime jax needs"):
        bundle.pack(run, "jax")


def test_a_run_with_another_segmenter_is_another(tmp_path: Path) -> None:
    """What outlines the lungs decides what a model of a region is shown."""
    folder = drawn_run.write(tmp_path / "run")
    without = Run.open(folder).fingerprint
    Segmenter.open().copy(folder / SEGMENTER)
    with_its_own = Run.open(folder).fingerprint
    with (folder / SEGMENTER / MANIFEST).open("a") as file:
        file.write("\n")
    assert len({without, with_its_own, Run.open(folder).fingerprint}) == 3
