"""Every file that the program reads, and what reads it: what `checks.fuzz_files` and the tests spoil.

All lie in one folder: a run whose graph is small, tables, archives, states, films.
"""

import contextlib
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from cxr_keras3 import images
from cxr_keras3.backend.openvino_graph import OpenVINOGraph
from cxr_keras3.base import records
from cxr_keras3.bulk import listing, tables
from cxr_keras3.evaluation import external
from cxr_keras3.lungs import showing
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.pacs import archive, state
from cxr_keras3.pacs.connection import RefusedError
from cxr_keras3.run import filling
from cxr_keras3.run.folder import GATE, SEGMENTER, Run
from cxr_keras3.run.site import SCHEMA_VERSION as SITE_SCHEMA_VERSION
from cxr_keras3.run.site import Difference, Site
from cxr_keras3.serving import inputs, predictor, results, runtimes
from cxr_keras3.training import checkpoint
from demo import answers, feedback, quality
from tests import drawn_run, image_files
from tfds_cxr import database, leaks, phantom
from tfds_cxr.labels import LABELS

FILM = phantom.draw("Normal", seed=1, index=0)[0]
ORIGIN = tables.Origin(tables.SCHEMA_VERSION, "run", "0123456789abcdef", "openvino", "1.0")
SETTINGS = {"seed": 0, "config": {"backbone": "mobilenet_025"}}
GATE_MEMBERS = ("schema_version", "mean", "directions", "variances", "threshold", "validated", "weights", "bias")
_BETWEEN = b"|next|"
_open_segmenter = Segmenter.open


def prepare(folder: Path) -> None:
    """Fills a folder with valid files of every kind."""
    run = drawn_run.write(folder / "run")
    drawn_run.write_gate(run, np.stack([FILM, FILM[::-1], FILM[:, ::-1]])[..., np.newaxis])
    drawn_run.write_evaluation(run)
    with zipfile.ZipFile(run / GATE) as packed:
        (folder / "gate.members").write_bytes(_BETWEEN.join(packed.read(f"{name}.npy") for name in GATE_MEMBERS))
    Segmenter.open().copy(run / SEGMENTER)
    (run / "settings.json").write_text(json.dumps(SETTINGS))
    np.savez(run / "head.npz", journal=np.frombuffer(b'{"rows": [], "done": true}', np.uint8), best_0=np.ones(2))
    _write_site(folder)
    _write_tables(folder)
    _write_archives(folder)
    with state.opened(folder / "state.sqlite3", model="drawn") as known:
        known.begin(known.see("1.2.3", instances=4))
    store = answers.Store(folder / "feedback", LABELS)
    store.add(sha256="a" * 64, model="drawn", predicted="COVID", label="Normal", comment="clear")
    for path in (folder / "state.sqlite3", folder / "feedback" / answers.DATABASE):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # one file
    (folder / "qido.json").write_text(_headers())
    for name, content in image_files.valid_files().items():
        kind = folder / ("dicom" if content[128:132] == b"DICM" else "picture")
        kind.mkdir(exist_ok=True)
        (kind / name.replace(" ", "_")).write_bytes(content)


def _write_site(folder: Path) -> None:
    run = Run.open(folder / "run")
    found = Site(
        schema_version=SITE_SCHEMA_VERSION,
        name="here",
        run=run.name,
        fingerprint=run.fingerprint,
        created="2026-01-01T00:00:00+00:00",
        films=10,
        refused=0,
        labelled=0,
        unlike=0.0,
        differences={"tilt": Difference(statistic=0.1, p_value=0.5)},
        offset=0.2,
        abnormal_share=0.5,
        calibration=run.required_calibration,
        vouched=(),
        verdict="as is",
        reasons=("alike",),
    )
    (folder / "site").mkdir()
    records.write(folder / "site" / "site.json", found)


def _write_tables(folder: Path) -> None:
    (folder / "film.png").write_bytes(images.encode_png(FILM))
    (folder / "labels.csv").write_text("path,label\nfilm.png,COVID\nother.png,viral pneumonia\n")
    (folder / "list.txt").write_text("film.png\nother.png\n\n")
    (folder / "names.txt").write_text("Normal-63.png\nCOVID-1.png\n")
    pq.write_table(pa.table({"path": ["film.png", "other.png"]}), folder / "films.parquet", compression="none")
    (prediction,) = predictor.load(folder / "run").predict([FILM])
    for suffix in results.SUFFIXES:  # as a command leaves them
        with results.Results(folder / f"results{suffix}", class_names=LABELS, model="run", resume=True) as table:
            table.add(prediction)
    with tables.claimed(str(folder / "scored"), ORIGIN):
        record = {"key": "a", **prediction.record()}
        tables.write(str(folder / "scored"), "part-1.parquet", [record], class_names=LABELS)


def _write_archives(folder: Path) -> None:
    root = folder / "database" / "COVID-19_Radiography_Dataset"
    for label in LABELS:
        (root / label / "images").mkdir(parents=True)
        (root / label / "images" / f"{label}-1.png").write_bytes(images.encode_png(FILM))
    book = openpyxl.Workbook()
    book.active.append(["FILE NAME", "FORMAT", "SIZE", "URL"])
    book.active.append(["COVID-1", "PNG", "256*256", "https://example.org"])
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as packed, zipfile.ZipFile(root / "COVID.metadata.xlsx", "w") as stored:
        for name in packed.namelist():
            stored.writestr(name, packed.read(name))
    (folder / "zipped").mkdir()
    with zipfile.ZipFile(folder / "zipped" / "database.zip", "w") as whole:
        for path in sorted(root.rglob("*.png")):
            whole.write(path, path.relative_to(folder / "database").as_posix())
    with zipfile.ZipFile(folder / "films.zip", "w", zipfile.ZIP_DEFLATED) as some:
        some.write(folder / "film.png", "film.png")
        some.writestr("notes/text.txt", "no film")
    with tarfile.open(folder / "films.tar", "w") as tape:
        tape.add(folder / "film.png", "film.png")


def _headers() -> str:
    dataset = image_files.dicom_dataset(FILM)
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.3"
    del dataset.PixelData
    return dataset.to_json()


def hasten(folder: Path, put: Callable[[object, str, object], None] = setattr) -> None:
    """Has graphs compiled and lungs found once for all that is read after it: that is not what is asked.

    Args:
        folder: From `prepare`.
        put: Takes an object, a name and what takes that name's place.
    """
    runtime, segmenter = runtimes.load_runtime(Run.open(folder / "run")), Segmenter.open()
    lungs = segmenter.outline(FILM[np.newaxis, ..., np.newaxis], task="")
    put(segmenter, "start", lambda _: lambda: lungs)
    put(predictor.runtimes, "load_runtime", lambda *_: runtime)
    put(showing.Segmenter, "open", lambda *_: segmenter)


class Reader(NamedTuple):
    """A file, and what reads it.

    Attributes:
        file: Its place below the folder, where a valid one lies; or a folder of valid ones.
        read: What the program does with it; takes the folder and the file's place.
    """

    file: str
    read: Callable[[Path, Path], object]


def _answer(folder: Path, _: Path) -> None:
    run = Run.open(folder / "run")
    list(predictor.Predictor(run).predict([FILM]))
    str(run.model_card), run.fingerprint, run.manifest.members, run.manifest.architecture


def _outline(folder: Path, path: Path) -> None:
    """A graph whose checksums are as its manifest says: the manifest may be a stranger's, too."""
    OpenVINOGraph(path.parent, "float32").start(FILM[np.newaxis, ..., np.newaxis])()


def _gate_of_members(folder: Path, path: Path) -> None:
    """A gate whose arrays have any shape and type: within the zip, a fuzzer would change checksums alone."""
    parts, gate = path.read_bytes().split(_BETWEEN), folder / "run" / GATE
    valid = gate.read_bytes()
    with zipfile.ZipFile(gate, "w") as packed:
        for name, part in zip(GATE_MEMBERS, parts, strict=False):
            packed.writestr(f"{name}.npy", part)
    try:
        _answer(folder, path)
    finally:
        gate.write_bytes(valid)


def _continue_training(folder: Path, path: Path) -> None:
    with filling.claimed(folder / "run", SETTINGS):
        pass


def _continue_results(folder: Path, path: Path) -> None:
    with results.Results(path, class_names=LABELS, model="run", resume=True):
        pass


def _continue_scoring(folder: Path, path: Path) -> None:
    root = str(folder / "scored")
    with tables.claimed(root, ORIGIN):
        tables.done(root).names()


def _read_inputs(folder: Path, path: Path) -> None:
    for item in inputs.find([path]):
        with contextlib.suppress(images.ImageError):
            inputs.film(item.content)


def _read_list(folder: Path, path: Path) -> None:
    with path.open("rb") as file:
        list(inputs.listed(inputs.read_list(file)))


def _read_database(folder: Path, path: Path) -> None:
    with database.opened(path.parents[1] if path.suffix == ".xlsx" else path.parent) as root:
        for file in database.list_files(root).files:
            with contextlib.suppress(images.ImageError):
                database.read_bytes(file.path)


def _know_studies(folder: Path, path: Path) -> None:
    with state.opened(path, model="drawn") as known:
        record = known.see("1.2.3", instances=4)
        known.begin(record)
        known.write(record)
        known.counts()


class Archive:
    """Answers every question with what a file holds."""

    def __init__(self, path: Path) -> None:
        self._answer = [json.loads(path.read_bytes())]

    def search_for_series(self, *_: object, **__: object) -> list[Any]:
        return self._answer

    search_for_studies = retrieve_series_metadata = search_for_series


def _ask_archive(folder: Path, path: Path) -> None:
    try:
        client = Archive(path)
    except (ValueError, RecursionError):  # not even JSON: dicomweb-client's part
        return
    with contextlib.suppress(RefusedError):
        list(archive.studies(client, days=1))
        archive.radiographs(client, archive.ListedStudy("1.2.3", 1))


READERS = {
    "manifest": Reader("run/manifest.json", _answer),
    "calibration": Reader("run/calibration.json", _answer),
    "gate": Reader("run/gate.npz", _answer),
    "abnormality": Reader("run/abnormality.npz", _answer),
    "site": Reader("site/site.json", lambda folder, path: Run.open(folder / "run", site=path.parent)),
    "gate arrays": Reader("gate.members", _gate_of_members),
    "graph": Reader("run/export/openvino/model.xml", _outline),
    "weights": Reader("run/export/openvino/model.bin", _outline),
    "parity": Reader("run/export/openvino/parity.json", lambda folder, _: Run.open(folder / "run").parity("openvino")),
    "metrics": Reader("run/evaluation/metrics.json", lambda folder, _: quality.render(Run.open(folder / "run"))),
    "predictions": Reader("run/evaluation/predictions.csv", lambda folder, _: Run.open(folder / "run").predictions),
    "model card": Reader("run/README.md", _answer),
    "segmenter": Reader("run/lungs/manifest.json", lambda _, path: _open_segmenter(path.parent)),
    "settings": Reader("run/settings.json", _continue_training),
    "checkpoint": Reader("run/head.npz", lambda _, path: checkpoint.read(path)),
    "labels": Reader("labels.csv", lambda _, path: external.from_table(path, LABELS)),
    "list": Reader("list.txt", _read_list),
    "list of the database": Reader("names.txt", lambda _, path: leaks.listed(path)),
    "list in parquet": Reader("films.parquet", lambda _, path: listing.films([str(path)])),
    "tar": Reader("films.tar", lambda _, path: listing.films([str(path)])),
    "zip": Reader("films.zip", _read_inputs),
    "sheet": Reader("database/COVID-19_Radiography_Dataset/COVID.metadata.xlsx", _read_database),
    "database": Reader("zipped/database.zip", _read_database),
    "results csv": Reader("results.csv", _continue_results),
    "results jsonl": Reader("results.jsonl", _continue_results),
    "results parquet": Reader("results.parquet", _continue_results),
    "bulk run": Reader("scored/run.json", _continue_scoring),
    "bulk part": Reader("scored/scored/part-1.parquet", _continue_scoring),
    "gateway": Reader("state.sqlite3", _know_studies),
    "archive": Reader("qido.json", _ask_archive),
    "feedback": Reader(
        "feedback/feedback.sqlite3",
        lambda folder, _: feedback.export(answers.Store(folder / "feedback", LABELS), folder / "out"),
    ),
    "dicom": Reader("dicom", lambda _, path: images.decode(path)),
    "picture": Reader("picture", lambda _, path: images.decode(path)),
}
