"""The predict command as a user types it, on a run that needs no Keras."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cxr_keras3.run.folder import MODEL, REFERENCE
from tests import drawn_run, image_files
from tests.commands.test_commands import assert_one_clear_line
from tfds_cxr.labels import LABELS

PREDICT = ("-m", "cxr_keras3.predict")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_run.write(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return drawn_run.write_films(tmp_path_factory.mktemp("films"), 40)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_film_is_answered_alike_alone_and_among_many(
    run: Path, films: list[Path], tmp_path: Path, run_python
) -> None:
    """Few films are decoded in threads, many in processes."""
    other = tmp_path / "no chest.dcm"
    other.write_bytes(image_files.valid_files()["dicom jpeg 2000"])
    found = []
    for number, more in enumerate(([], films[20:])):
        output = tmp_path / f"{number}.jsonl"
        run_python(*PREDICT, "--model", run, films[3], other, *more, "--output", output)
        found.append(rows(output)[:2])
    for alone, among in zip(*found, strict=True):
        assert {**among, "probabilities": 0, "abnormal_score": 0} == {**alone, "probabilities": 0, "abnormal_score": 0}
    alone, among = (each[0] for each in found)
    assert among["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)
    assert [row["accepted"] for row in found[0]] == [True, False]


def test_files_folders_and_archives_in_one_table(run: Path, films: list[Path], tmp_path: Path, run_python) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(films[3], "inside/a.png")
        archive.writestr("inside/bad.png", "text")
    output, maps = tmp_path / "new" / "results.jsonl", tmp_path / "maps"
    done = run_python(
        *PREDICT,
        "--model",
        run,
        films[0].parent,
        films[0],
        tmp_path / "films.zip",
        "--output",
        output,
        "--heat-maps",
        maps,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    found = rows(output)
    names = [*map(str, films), f"{tmp_path}/films.zip/inside/a.png", f"{tmp_path}/films.zip/inside/bad.png"]
    assert [row["file"] for row in found] == names
    assert [row["accepted"] for row in found] == [True] * 41 + [False]
    assert found[40]["probabilities"] == found[3]["probabilities"]
    assert f"not scored: {names[-1]}: {found[-1]['reject_reason']}" in done.stderr
    assert "scored: 41 of 42" in done.stderr
    pictures = sorted(maps.iterdir())
    assert len(pictures) == 41
    with Image.open(pictures[0]) as picture:
        assert (picture.mode, picture.size) == ("RGB", (299, 299))
    assert set(found[0]) == {
        *(
            "file",
            "accepted",
            "reject_reason",
            "probabilities",
            "predicted",
            "prediction_set",
            "abnormal_score",
            "flag",
            "withheld",
            "site",
            "distance",
            "evidence_in_lungs",
        ),
        *("warnings", "model", "version", "sop_instance_uid"),
    }


def test_a_list_on_standard_input(run: Path, films: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, *PREDICT, "--model", run, "-", "--output", tmp_path / "results.csv"]
    listed = f"{films[2]}\n\n{tmp_path}/missing.png\n{films[1]}\n{films[2]}\n"
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    with (tmp_path / "results.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["file"] for row in found] == [str(films[2]), f"{tmp_path}/missing.png", str(films[1])]
    assert "cannot be opened" in found[1]["reject_reason"]
    assert sum(float(found[0][name]) for name in LABELS) == pytest.approx(1.0)


def test_killed_and_resumed_it_writes_the_same(run: Path, films: list[Path], tmp_path: Path, run_python) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for index in range(400):
        (many / f"{index:03d}.png").symlink_to(films[index % len(films)])
    command = (*PREDICT, "--model", run, many, "--output")
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert run_python(*command, whole).returncode == 0
    killed = subprocess.Popen([sys.executable, *command, cut], stderr=subprocess.DEVNULL)
    while not (cut.exists() and cut.stat().st_size):
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert cut.stat().st_size < whole.stat().st_size
    with cut.open("ab") as file:
        file.write(b'{"file": "torn')
    refused = run_python(*command, cut)
    assert_one_clear_line(refused, "--output", "--resume")
    resumed = run_python(*command, cut, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert cut.read_bytes() == whole.read_bytes()
    assert "scored: 400 of 400" in resumed.stderr


def test_two_that_resume_one_output_do_not_mix_their_rows(run: Path, films: list[Path], tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for index in range(300):
        (many / f"{index:03d}.png").symlink_to(films[index % len(films)])
    output = tmp_path / "results.csv"
    command = [sys.executable, *PREDICT, "--model", run, many, "--output", output, "--resume"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate()[1] for each in both]
    assert sorted(each.returncode for each in both) in ([0, 2], [0, 0])  # the later may find all done
    for each, text in zip(both, said, strict=True):
        assert each.returncode == 0 or "only one command may write" in text
    with output.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert sorted(row["file"] for row in found) == sorted(str(path) for path in many.iterdir())
    assert all(sum(float(row[name]) for name in LABELS) == pytest.approx(1.0) for row in found)


def test_an_empty_list_is_said_to_be(run: Path) -> None:
    command = [sys.executable, *PREDICT, "--model", run, "-"]
    assert_one_clear_line(
        subprocess.run(command, input="\n", capture_output=True, text=True, check=False), "at least one"
    )


def test_one_film_on_the_terminal(run: Path, films: list[Path], run_python) -> None:
    done = run_python(*PREDICT, "--model", run, films[0], COLUMNS="60")
    assert done.returncode == 0, done.stderr
    assert "flag" in done.stdout
    assert done.stdout.count("0.") >= 4


def test_what_cannot_be_is_said_in_a_line(run: Path, films: list[Path], tmp_path: Path, run_python) -> None:
    for arguments, words in (
        ((films[0], "--output", "results.xlsx"), (".csv", "results.xlsx")),
        ((films[0], "--resume"), ("--resume", "--output")),
        (("-", films[0]), ("only input",)),
        ((tmp_path / "missing.zip",), ("missing.zip",)),
    ):
        assert_one_clear_line(run_python(*PREDICT, "--model", run, *arguments), *words)


def test_all_of_several_bad_files_is_an_exit_of_three(run: Path, tmp_path: Path, run_python) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("text")
    done = run_python(*PREDICT, "--model", run, tmp_path / "a.png", tmp_path / "b.png")
    assert done.returncode == 3
    assert done.stderr.count("not scored:") == 2


@pytest.mark.shared_data
def test_dicom_files_give_what_they_should(run: Path, shared_data: Path, tmp_path: Path, run_python) -> None:
    output = tmp_path / "results.jsonl"
    done = run_python(*PREDICT, "--model", run, shared_data / "dicom", "--output", output)
    assert done.returncode == 3, done.stderr
    found = {Path(row["file"]).stem: row for row in rows(output)}
    scored = {"nhsx_nih_dx_chest", "pydicom-data_RG1_J2KI", "udacity_test1"}
    assert {name for name, row in found.items() if row["accepted"]} == scored
    assert all(row["sop_instance_uid"] for name, row in found.items() if name in scored)
    assert all("chest" in row["reject_reason"] for name, row in found.items() if name not in scored)


def test_places_that_cannot_be_used_are_named_in_a_line(
    run: Path, films: list[Path], tmp_path: Path, run_python
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    long = tmp_path / ("n" * 300)
    for arguments in (
        ("--heat-maps", taken),
        ("--output", taken / "x.csv"),
        ("--output", long / "x.csv"),
    ):
        done = run_python(*PREDICT, "--model", run, films[0], films[1], *arguments)
        assert_one_clear_line(done, "must be a place that can be used")
    done = run_python(*PREDICT, "--model", run, long)
    assert_one_clear_line(done, "")


def test_a_long_name_does_not_end_a_batch(run: Path, films: list[Path], tmp_path: Path, run_python) -> None:
    (tmp_path / "in").mkdir()
    long = tmp_path / "in" / ("n" * 246 + ".png")
    long.write_bytes(films[0].read_bytes())
    with zipfile.ZipFile(tmp_path / "in" / "films.zip", "w") as archive:
        archive.write(films[1], "z" * 300 + ".png")
    maps = tmp_path / "maps"
    files = (long, tmp_path / "in" / "films.zip", films[2])
    done = run_python(*PREDICT, "--model", run, *files, "--heat-maps", maps, "--output", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    assert len(list(maps.glob("*.png"))) == 3


def test_pipes_and_null_bytes_in_a_list_are_refused_alone(run: Path, films: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    listed = f"{films[0]}\n{pipe}\nnull\0byte.png\n{films[1]}\n".encode()
    output = tmp_path / "o.jsonl"
    command = [sys.executable, *PREDICT, "--model", run, "-", "--output", output]
    done = subprocess.run(command, input=listed, capture_output=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert [row["accepted"] for row in rows(output)] == [True, False, False, True]
    assert "regular file" in rows(output)[1]["reject_reason"]


def test_names_that_the_terminal_lacks_are_escaped(run: Path, films: list[Path], tmp_path: Path, run_python) -> None:
    film = tmp_path / "胸片.png"
    film.write_bytes(films[0].read_bytes())
    done = run_python(*PREDICT, "--model", run, film, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "scored: 1 of 1" in done.stderr


def test_cells_are_no_formulas_and_resuming_still_knows_the_files(
    run: Path, films: list[Path], tmp_path: Path, run_python, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "@films.zip", "w") as archive:
        archive.write(films[0], "a.png")
    output = tmp_path / "o.csv"
    command = [sys.executable, *PREDICT, "--model", run, "@films.zip", films[1], "--output", output]
    environment = os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    for extra in ([], ["--resume"]):
        done = subprocess.run(
            [*command, *extra], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        with output.open() as file:
            (first, _) = csv.DictReader(file)
        assert first["file"] == "'@films.zip/a.png"


def test_a_run_without_its_model_says_that_it_is_there_for_openvino_only(
    films: list[Path], tmp_path: Path, run_python
) -> None:
    run = Path(shutil.copytree(REFERENCE, tmp_path / "run"))
    (run / MODEL).unlink()
    assert_one_clear_line(run_python(*PREDICT, "--model", run, films[0], "--runtime", "jax"), "OpenVINO only")


def test_a_platform_that_jax_lacks_is_named(run_dir: Path, films: list[Path], run_python) -> None:
    done = run_python(*PREDICT, "--model", run_dir, films[0], "--runtime", "jax", JAX_PLATFORMS="cuda")
    assert_one_clear_line(done, "JAX must find a device")
