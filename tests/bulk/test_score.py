"""The score command as a user types it, on Ray: equal to predict, completed by a rerun, a node killed half-way."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import bulk_scoring
from cxr_keras3 import __version__, serving
from cxr_keras3.bulk import listing, pipeline, tables
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import inputs
from tests import drawn_run, image_files
from tests.commands.test_commands import assert_one_clear_line
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

SCORE = ("-m", "cxr_keras3.score")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn")


def keyed(decoded: list) -> dict[str, str]:
    return {each.name: each.key for each in decoded}


def test_it_completes_what_a_killed_command_left_with_what_predict_says(run: Path, tmp_path: Path, run_python) -> None:
    films, root = tmp_path / "films", tmp_path / "scores"
    bulk_scoring.draw(films, 150)
    stored = phantom.draw("Normal", seed=1, index=0)[0].astype(np.uint16) * 16
    (films / "study.dcm").write_bytes(image_files.dicom(stored, bits=12))
    with zipfile.ZipFile(tmp_path / "shard.zip", "w") as archive:
        archive.write(films / "000000", "in a zip.png")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(films / "000001", "in a tar.png")
    pq.write_table(pa.table({"path": [f"{films}/000003", "gone.png"]}), tmp_path / "list.parquet")
    given = [str(films), *(str(tmp_path / name) for name in ("shard.zip", "shard.tar", "list.parquet"))]

    # What the killed command left: a piece that is done, half of another, and a torn file.
    expected = bulk_scoring.expected(films, run)
    pieces = pipeline.pieces(listing.films(given), slots=1)
    whole, half = pieces[0], pieces[3]  # 16 each, in the latter one that is no film
    with tables.claimed(
        str(root), tables.Origin(tables.SCHEMA_VERSION, "drawn", Run.open(run).fingerprint, "openvino", __version__)
    ):
        for piece, chosen in ((whole, {True, False}), (half, {False})):
            records = [{"key": "before"} | expected[location.name] for location in piece.films]
            left = [record for record in records if record["accepted"] in chosen]
            tables.write(str(root), piece.part, left, class_names=LABELS)
    torn = root / "scored" / ".part-torn.parquet.0.partial"
    torn.mkdir()
    (torn / "part-torn.parquet").write_bytes(b"torn")

    done = run_python(*SCORE, *given, "--model", run, "--output", root)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "scored: 150 of 154" in done.stderr  # three files are no films, and one is gone
    assert not torn.exists()
    found = bulk_scoring.rows(root)
    predictor = serving.load(run)
    archives = {
        f"{tmp_path}/shard.{kind}/in a {kind}.png": films / f"00000{at}" for at, kind in enumerate(("zip", "tar"))
    }
    sources = [inputs.Input(name, path) for name, path in (archives | {"gone.png": Path("gone.png")}).items()]
    expected |= {each.file: each.record() for each in predictor.predict(sources)}
    assert bulk_scoring.differences(found, expected) == []
    before = [name for name, row in found.items() if row["key"] == "before"]
    assert len(before) == 17  # the whole piece, and what was refused of the other
    assert found[f"{films}/study.dcm"]["key"] == image_files.SOP_INSTANCE_UID
    assert found["gone.png"]["key"] is None
    assert found[f"{tmp_path}/shard.tar/in a tar.png"]["key"].startswith("sha256:")


def test_a_node_that_is_killed_half_way_costs_nothing(run_python) -> None:
    done = run_python("-m", "benchmarks.bulk_scoring", "--films", "1500")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one of them was killed" in done.stdout
    assert "every film has one row, equal to that of one process; nothing was done twice" in done.stdout


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_said_in_a_line(run: Path, tmp_path: Path, run_python) -> None:
    mine = drawn_run.write(tmp_path / "mine", temperature=3.0)
    (mine / "calibration.json").write_bytes((run / "calibration.json").read_bytes())  # of another temperature
    (film,) = drawn_run.write_films(tmp_path / "films", 1)
    done = run_python(*SCORE, film, "--model", mine, "--output", tmp_path / "scores")
    assert_one_clear_line(done, "must have the run's calibration")


def test_mistakes_are_said_before_ray_starts(run: Path, tmp_path: Path, run_python) -> None:
    done = run_python(*SCORE, tmp_path / "missing", "--model", run, "--output", tmp_path / "scores")
    assert_one_clear_line(done, "missing")
    assert "Ray" not in done.stderr


@pytest.mark.parametrize(
    ("count", "slots", "size"), [(5, 2, 16), (300, 2, 16), (2000, 2, 112), (10**5, 2, 128), (10**4, 64, 16)]
)
def test_pieces_are_whole_batches_and_enough_for_every_slot(count: int, slots: int, size: int) -> None:
    films = [listing.Location(str(index), str(index)) for index in range(count)]
    pieces = pipeline.pieces(films, slots=slots)
    assert [film for piece in pieces for film in piece.films] == films
    assert {len(piece.films) for piece in pieces[:-1]} <= {size}
    assert len({piece.part for piece in pieces}) == len(pieces)
