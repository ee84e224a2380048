"""What the page says and shows, without a browser and without Gradio."""

import base64
import csv
import dataclasses
import io
import json
import re
import shutil
import sqlite3
import threading
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import external
from cxr_keras3.images.patients import Taken
from cxr_keras3.report import templating, texts
from cxr_keras3.run.external import ExternalMetrics
from cxr_keras3.run.folder import EVALUATION, METRICS, PREDICTIONS, REFERENCE, Run
from cxr_keras3.run.metrics import SCHEMA_VERSION, Measures, Metrics
from cxr_keras3.serving import Predictor, load
from cxr_keras3.serving.inputs import Input
from cxr_keras3.statistics.figures import UNDEFINED
from demo import (
    agreement,
    answers,
    examples,
    feedback,
    pages,
    pictures,
    quality,
    reading,
    result,
    standing,
    uploads,
    viewing,
    worklist,
)
from demo.desk import Desk
from demo.jobs import Job
from demo.questions import Listed
from demo.reading import Reading
from tests import drawn_run, image_files
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

HOSTILE = "<img src=x onerror=alert(1)>${alert(2)}.png"
DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def served(demo_run: Path) -> Predictor:
    return load(demo_run)


@pytest.fixture(scope="module")
def film() -> bytes:
    return images.encode_png(phantom.draw("COVID", seed=3, index=500)[0])


@pytest.fixture(scope="module")
def read(served: Predictor, film: bytes) -> Reading:
    return reading.read_film(served, "film.png", film)


@pytest.fixture(scope="module")
def evaluated(served: Predictor) -> Metrics:
    found = served.run.metrics
    assert found is not None
    return found


def photograph() -> bytes:
    """A bright blue sky, a sun and a dark green meadow."""
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[:260] = (120, 190, 255)
    pixels[260:] = (10, 60, 5)
    pixels[30:90, 60:120] = (255, 240, 120)
    return image_files.encoded(pixels, "PNG")


def with_name(read: Reading, name: str) -> Reading:
    return dataclasses.replace(read, prediction=dataclasses.replace(read.prediction, file=name))


def test_the_study_says_what_the_predictor_says(served: Predictor, film: bytes, read: Reading) -> None:
    (expected,) = served.predict([film])
    assert read.prediction.probabilities == pytest.approx(dict(expected.probabilities))
    assert list(read.prediction.probabilities) == list(LABELS)
    np.testing.assert_array_equal(read.pixels, images.decode(film).pixels)
    assert read.record()["sha256"] == read.digest
    said = json.loads(result.result_json(served, read))
    assert said.pop("read").startswith("20")
    assert said.pop("threshold") == 0.5
    assert said == json.loads(json.dumps(read.record()))


def test_dicom_warnings_and_identifier_survive_decoding_once(served: Predictor) -> None:
    stored = np.tile(phantom.draw("Normal", seed=3, index=7)[0].astype(np.uint16) * 16, (2, 2))
    answer = reading.read_film(served, "film.dcm", image_files.dicom(stored, bits=12))
    (expected,) = served.predict([image_files.dicom(stored, bits=12)])
    assert answer.prediction.record() == expected.record() | {"file": "film.dcm"}
    assert answer.prediction.sop_instance_uid == image_files.SOP_INSTANCE_UID
    assert answer.pixels.shape == stored.shape
    assert "Secret" not in reading.findings(served, answer) + result.result_page(served, answer, said=[])


def test_the_viewer_has_the_film_and_every_map(served: Predictor, read: Reading) -> None:
    value = viewing.view(read)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(value.film.split(",")[1]))))
    np.testing.assert_array_equal(shown, read.pixels)
    assert [each.name for each in value.maps] == list(LABELS)
    assert value.chosen == read.prediction.predicted
    assert all(len(base64.b64decode(each.bytes)) == value.side**2 for each in value.maps)
    json.dumps(dataclasses.asdict(value))


def test_maps_share_one_scale_and_leave_out_what_speaks_against(read: Reading) -> None:
    strength = viewing.strengths(read.prediction)
    assert max(values.max() for values in strength.values()) == 255
    assert strength["Normal"].max() == 0  # its weight is negative
    assert strength["Viral Pneumonia"].max() == pytest.approx(255 * 0.5 / 3.0, abs=1)
    assert viewing.in_words(strength["Normal"], "Normal").startswith("Nothing")
    assert "% of the strongest of all classes" in viewing.in_words(strength["Viral Pneumonia"], "Viral Pneumonia")


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(0, 0, "upper left"), (50, 50, "centre"), (95, 50, "lower centre"), (40, 90, "middle right")],
)
def test_a_map_is_told_in_words(row: int, column: int, words: str) -> None:
    strength = np.zeros((viewing.MAP_SIDE, viewing.MAP_SIDE), np.uint8)
    strength[row, column] = 255
    assert f"strongest in the {words} of the picture." in viewing.in_words(strength, "COVID")


def test_a_large_film_is_shown_undistorted_and_reduced(served: Predictor) -> None:
    tall = np.tile(phantom.draw("Normal", seed=3, index=7)[0], (8, 4))
    value = viewing.view(reading.read_film(served, "tall.png", images.encode_png(tall)))
    with Image.open(io.BytesIO(base64.b64decode(value.film.split(",")[1]))) as shown:
        assert shown.size == (pictures.SIDE // 2, pictures.SIDE)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "words"),
    [
        (0.953, 0.8, "Flags 95 of 100 abnormal films; 1 in 5 normal films is flagged too"),
        (1.0, 0.14, "Flags 100 of 100 abnormal films; 86 of 100 normal films are flagged too"),
        (0.9, 1.0, "Flags 90 of 100 abnormal films; fewer than 1 in 200 normal films is flagged too"),
    ],
)
def test_the_operating_point_in_words(evaluated: Metrics, sensitivity: float, specificity: float, words: str) -> None:
    found = dataclasses.replace(
        evaluated.triage, sensitivity=drawn_run.figure(sensitivity), specificity=drawn_run.figure(specificity)
    )
    said = texts.operating_point(dataclasses.replace(evaluated, triage=found))
    assert said == f"{words} (100 films of the test split)."


def test_a_run_without_a_report_gets_one_drawn_of_its_figures(served: Predictor) -> None:
    assert quality.report(served.run) == "<p>the report"
    drawn = quality.report(Run.open())  # the reference model
    assert drawn.startswith("<!doctype html>")
    assert "reference" in drawn


def test_the_operating_point_of_films_of_one_kind_is_not_known(evaluated: Metrics) -> None:
    triage = dataclasses.replace(evaluated.triage, specificity=UNDEFINED)
    assert "is not known" in texts.operating_point(dataclasses.replace(evaluated, triage=triage))


def test_findings_carry_answer_flag_set_and_operating_point(served: Predictor, read: Reading) -> None:
    said = reading.headline(served, read) + reading.findings(served, read)
    assert read.prediction.headline in said
    assert read.prediction.named.replace("_", " ") in said
    assert templating.percent(read.prediction.probabilities[read.prediction.predicted]) in said
    assert "Flags 95 of 100 abnormal films; 1 in 5" in said
    assert "Cannot be ruled out at 90 % coverage" in said


def test_a_class_that_nothing_speaks_for_is_not_named(served: Predictor, read: Reading) -> None:
    why = "COVID cannot be told apart from the hospital"
    withheld = dataclasses.replace(read, prediction=dataclasses.replace(read.prediction, flag=True, withheld=why))
    said = reading.headline(served, withheld)
    assert f"No class is named: {why}." in said
    assert "Most probable" not in said
    assert '<details class="research"><summary>' in reading.findings(served, withheld)  # closed
    assert viewing.view(withheld).chosen == ""  # no map of it
    assert worklist.row(served, 0, withheld.prediction).predicted == "class withheld"


def test_what_an_answer_is_worth_stands_beside_it(served: Predictor) -> None:
    said = standing.standing(served.run)
    for words in (
        "Audit: WARN",
        "a &lt;reason&gt;",
        "No site profile",
        "from an abnormal score of 50.0",
        "nothing else",
    ):
        assert words in said
    reference = Run.open()
    (nih, *_) = reference.collections.collections
    assert (
        f"{nih.title} ({nih.films} films): {100 * nih.flag.sensitivity.value:.0f} of 100 abnormal"
        in standing.standing(reference)
    )
    assert "Not reliable for children" in standing.standing(reference)
    about = standing.about(reference)
    assert "COVID, Lung Opacity, Normal and Viral Pneumonia" in about
    assert "comes with the package" in about
    assert "COVID-19 Radiography Database" in about


def test_figures_from_elsewhere_stand_beside_the_answer(tmp_path: Path) -> None:
    run = Run.open(drawn_run.write(tmp_path / "run"))
    home = drawn_run.write_evaluation(tmp_path / "run")
    assert "no figures on films from other hospitals" in standing.standing(run)
    triage = dataclasses.replace(home.triage, sensitivity=drawn_run.figure(0.99), specificity=drawn_run.figure(0.58))
    measured = {name: value for name, value in vars(home).items() if name in Measures.__dataclass_fields__}
    abroad = ExternalMetrics(
        **measured | {"triage": triage, "images": 240},
        schema_version=SCHEMA_VERSION,
        run="run",
        split="external",
        groups=240,
        synthetic=False,
        created="2026-01-01T00:00:00+00:00",
        unreadable=(),
        internal=None,
    )
    (tmp_path / "run" / "external-pakistan").mkdir()
    records.write(tmp_path / "run" / "external-pakistan" / METRICS, abroad)
    said = standing.standing(run)
    assert "pakistan (240 films): 99 of 100 abnormal, 42 of 100 normal." in said
    assert "Where it was trained: flags 95 of 100 abnormal films" in said
    assert "no figures" not in said


def test_a_photograph_is_refused_without_a_number(served: Predictor) -> None:
    refused = reading.read_film(served, "meadow.png", photograph())
    assert not refused.prediction.accepted
    said = reading.headline(served, refused) + reading.findings(served, refused)
    assert "Not read" in said
    assert "%" not in said
    value = viewing.view(refused)
    assert value.film is not None  # the reader sees what was sent
    assert value.maps == ()
    assert "Not read" in result.result_page(served, refused, said=[])


def test_a_file_that_is_no_picture_is_refused(served: Predictor) -> None:
    refused = reading.read_film(served, "text.png", b"this is text")
    assert viewing.view(refused).film is None
    assert "Not read" in reading.headline(served, refused)


def test_hostile_names_are_text(served: Predictor, read: Reading) -> None:
    hostile = with_name(read, HOSTILE)
    said = result.result_page(served, hostile, said=[HOSTILE])
    assert "<img src=x" not in said
    assert "&lt;img src=x" in said


def test_the_result_page_stands_alone_and_loads_nothing(served: Predictor, read: Reading) -> None:
    said = result.result_page(served, read, said=["Trained on synthetic images."])
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', said) == []
    assert pages.NOTICE in said.replace("&#39;", "'")
    assert read.digest in said
    assert "Flagged from 50.0" in said
    assert read.created[:10] in said
    assert "outline encloses" not in said  # the page's picture has none
    assert "Trained on synthetic images." in said


def test_examples_are_drawn_and_say_whether_they_are_read_rightly(served: Predictor) -> None:
    chosen = examples.choose(served)
    assert chosen
    for example in chosen:
        (prediction,) = served.predict([example.content])
        assert prediction.predicted == example.predicted
        assert ("wrongly" in example.words) == (example.predicted != example.label)
    assert sum("wrongly" in example.words for example in chosen) <= 1


def test_a_run_without_export_is_served_by_keras(tmp_path: Path, film: bytes) -> None:
    shutil.copytree(REFERENCE, tmp_path / "plain", ignore=shutil.ignore_patterns("export"))
    plain = load(tmp_path / "plain")
    assert sum(reading.read_film(plain, "film.png", film).prediction.probabilities.values()) == pytest.approx(1.0)
    assert "Audit" in quality.render(plain.run)  # of an evaluation that was really made


def test_banners(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "drawn")
    assert "Never evaluated" in pages.banners(Run.open(folder))[0]
    assert "never evaluated" in texts.operating_point(None)
    assert "never evaluated" in quality.render(Run.open(folder))
    drawn_run.write_evaluation(folder, verdict="FAIL")
    assert "failed its audit" in pages.banners(Run.open(folder))[0]


def test_an_evaluation_of_another_version_or_damaged_is_named(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "drawn")
    drawn_run.write_evaluation(folder)
    path = folder / EVALUATION / METRICS
    path.write_text('{"schema_version": 1}')
    with pytest.raises(
        UserError, match=f"must be a Metrics of schema version {SCHEMA_VERSION}, received 1; run python -m"
    ):
        pages.banners(Run.open(folder))
    path.write_text("{")
    with pytest.raises(UserError, match="must be a Metrics, it is no JSON"):
        pages.banners(Run.open(folder))


def test_quality_shows_the_figures_of_the_evaluation_and_no_others(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "drawn")
    results = drawn_run.write_evaluation(folder)
    said = quality.render(Run.open(folder))
    assert said.count("0.900") >= len(quality.HEADLINES)
    assert "Audit: WARN" in said
    assert "a &lt;reason&gt;" in said
    for row in results.confusion_matrix:
        assert all(f"<strong>{count}</strong>" in said for count in row)
    assert said.count("<polyline") == len(LABELS) + 2
    assert Run.open(folder).model_card == "# The model card"
    (folder / EVALUATION / PREDICTIONS).write_text("label\nnothing\n")
    with pytest.raises(UserError, match="not a table of predictions"):
        quality.render(Run.open(folder))


def found_in(files: Sequence[Path]) -> list[Input]:
    return worklist.find([(file, file.name) for file in files], named=Counter())


def test_names_in_a_zip_are_labels_and_never_paths(served: Predictor, tmp_path: Path, film: bytes) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        with zipfile.ZipFile(tmp_path / folder / "films.zip", "w") as archive:
            for name in ("../../etc/passwd", "/etc/passwd", HOSTILE, "C:\\film.png"):
                archive.writestr(name, film)
    found = found_in([tmp_path / "first" / "films.zip", tmp_path / "second" / "films.zip"])
    names = [source.name for source in found]
    assert names[0] == "films.zip/../../etc/passwd"
    assert names[4] == "films.zip/../../etc/passwd (2)"
    assert str(tmp_path) not in " ".join(names)
    assert all(worklist.content(source) == film for source in found)
    assert [each.accepted for each in worklist.score(served, found)] == [True] * 8


def test_messages_of_a_worklist_name_no_folder(tmp_path: Path) -> None:
    (tmp_path / "torn.zip").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(UserError, match=r"<\$>\.zip cannot be opened") as failure:
        worklist.find([(tmp_path / "torn.zip", "<$>.zip")], named=Counter())
    assert str(tmp_path) not in str(failure.value)


def test_no_spreadsheet_takes_a_file_name_for_a_formula(served: Predictor, read: Reading) -> None:
    text = worklist.as_csv(served, [with_name(read, "=HYPERLINK(1).png").prediction])
    assert next(csv.DictReader(io.StringIO(text)))["file"].startswith("'=")


def test_uploads_come_from_their_folder_and_go_with_the_last_session(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "film.png").write_bytes(b"film")
    (folder / "tmpempty").touch()
    (tmp_path / "elsewhere.png").write_bytes(b"not uploaded")
    kept = uploads.Uploads(folder)
    for path in (tmp_path / "elsewhere.png", folder / ".." / "elsewhere.png", Path("/etc/passwd")):
        with pytest.raises(UserError, match="must be uploaded") as failure:
            kept.claim("a", [str(path)])
        assert "elsewhere" not in str(failure.value)
    for session in ("a", "b"):
        assert kept.claim(session, [str(folder / "film.png")]) == [folder / "film.png"]
    kept.forget("a")
    assert (folder / "film.png").exists()
    kept.forget("b")
    assert list(folder.iterdir()) == []
    with pytest.raises(UserError, match="deleted since"):
        kept.claim("a", [str(folder / "film.png")])


def test_feedback_is_exported_as_labels_that_evaluate_reads(tmp_path: Path, read: Reading, film: bytes) -> None:
    store = answers.Store(tmp_path / "feedback", LABELS)
    archive = tmp_path / "archive" / "deep"
    archive.mkdir(parents=True)
    (archive / "film.png").write_bytes(film)
    store.add(sha256=read.digest, model="m", predicted="COVID", label="COVID")
    store.add(sha256=read.digest, model="m", predicted="COVID", label="Normal", comment="no opacity")  # the last counts
    store.add(sha256=DIGEST, model="m", predicted="COVID", label="COVID", film=read.prediction.image)
    store.add(sha256="cd" * 32, model="m", predicted="COVID", label="COVID")
    assert feedback.export(store, tmp_path / "out", archive=tmp_path / "archive") == 2
    labelled = external.from_table(tmp_path / "out" / feedback.LABELS_CSV, LABELS)
    found = {LABELS[each.label]: images.decode(each.file).pixels for each in labelled}
    np.testing.assert_array_equal(found["Normal"], read.pixels)
    np.testing.assert_array_equal(found["COVID"], read.prediction.image)
    with (tmp_path / "out" / feedback.ANSWERS_CSV).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[1]["comment"] == "no opacity"
    assert [row["agrees"] for row in rows] == ["True", "False", "True", "True"]


def test_a_reader_has_one_answer_a_film_and_may_take_it_back(tmp_path: Path, read: Reading) -> None:
    store = answers.Store(tmp_path / "feedback", LABELS)
    for reader, label in (("AB", "COVID"), ("CD", "COVID"), ("AB", "Poor quality")):
        film = read.prediction.image if reader == "AB" else None
        store.add(sha256=DIGEST, model="m", predicted="COVID", label=label, reader=reader, film=film)
    assert [(each.reader, each.label) for each in store.answers()] == [("CD", "COVID"), ("AB", "Poor quality")]
    assert feedback.labels(store.answers(), {DIGEST: "film.png"}) == []  # no class to evaluate on
    store.withdraw(DIGEST, "AB")
    assert [each.reader for each in store.answers()] == ["CD"]
    assert not store.film(DIGEST).exists()


def test_two_readers_agree_by_cohens_kappa(tmp_path: Path) -> None:
    store = answers.Store(tmp_path / "feedback", LABELS)
    said = {
        "AB": ["COVID", "COVID", "Normal", "Normal"],
        "CD": ["COVID", "Normal", "Normal", "Normal"],
        "EF": ["COVID"],
    }
    for reader, labels in said.items():
        for index, label in enumerate(labels):
            store.add(sha256=f"{index:064x}", model="m", predicted="COVID", label=label, reader=reader)
    first, *others = agreement.agreements(store.answers())
    assert (first.readers, first.films) == (("AB", "CD"), 4)
    assert first.kappa == pytest.approx((0.75 - 0.5) / (1 - 0.5))  # 3 of 4 alike, 1/2 * 1/4 + 1/2 * 3/4 by chance
    assert [each.kappa for each in others] == [None, None]


def test_answers_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    store = answers.Store(tmp_path / "feedback", LABELS)
    store.add(sha256=DIGEST, model="m", predicted="COVID", label="COVID", comment="a name")
    connection = sqlite3.connect(tmp_path / "feedback" / answers.DATABASE)
    connection.execute("ALTER TABLE answers DROP COLUMN reader")
    connection.close()
    (answer,) = store.answers()
    assert answer.reader == ""
    assert [each.comment for each in feedback.without_comments([answer])] == [""]


def test_a_film_is_kept_only_where_it_was_allowed(tmp_path: Path, read: Reading) -> None:
    store = answers.Store(tmp_path / "feedback", LABELS)
    store.add(sha256=read.digest, model="m", predicted="COVID", label="COVID")
    assert not (tmp_path / "feedback" / answers.FILMS).exists()
    assert not store.answers()[0].kept


def test_many_writers_lose_no_answer(tmp_path: Path) -> None:
    def write(worker: int) -> None:
        store = answers.Store(tmp_path / "feedback", LABELS)
        for number in range(10):
            store.add(sha256=DIGEST, model="m", predicted="COVID", label="COVID", comment=f"{worker}-{number}")

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    comments = {answer.comment for answer in answers.Store(tmp_path / "feedback", LABELS).answers()}
    assert comments == {f"{worker}-{number}" for worker in range(8) for number in range(10)}
    with sqlite3.connect(tmp_path / "feedback" / answers.DATABASE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sha256": "../../etc"}, "must be 64 hexadecimal digits"),
        ({"label": "Healthy"}, "label must be one of COVID"),
        ({"predicted": "Healthy"}, "predicted must be one of COVID"),
        ({"comment": "x" * 2001}, "may have 2000 characters, received 2001"),
        ({"reader": "x" * 41}, "may have 40 characters, received 41"),
    ],
)
def test_answers_that_make_no_sense_are_refused(tmp_path: Path, values: dict[str, str], message: str) -> None:
    given = {"sha256": DIGEST, "model": "m", "predicted": "COVID", "label": "COVID", "comment": ""} | values
    with pytest.raises(UserError, match=message):
        answers.Store(tmp_path / "feedback", LABELS).add(**given)
    assert answers.Store(tmp_path / "feedback", LABELS).answers() == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be kept"):
        answers.Store(tmp_path / "file" / "feedback", LABELS).add(
            sha256=DIGEST, model="m", predicted="COVID", label="COVID"
        )


def test_exporting_from_the_command_line(tmp_path: Path, run_python) -> None:
    answers.Store(tmp_path / "feedback", LABELS).add(sha256=DIGEST, model="m", predicted="COVID", label="COVID")
    done = run_python("-m", "demo.feedback", tmp_path / "feedback", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "0 films with labels" in done.stderr
    missing = run_python("-m", "demo.feedback", tmp_path, "--output", tmp_path / "out")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: the folder must hold feedback.sqlite3")


def colours(block: str) -> dict[str, str]:
    (found,) = re.findall(rf"^{re.escape(block)} \{{(.*?)^\}}", pages.static("style.css"), re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", found))


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    bright, dim = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


TEXT = [
    ("ink", "paper"),
    ("ink", "panel"),
    ("ink", "chosen"),
    ("soft", "paper"),
    ("soft", "panel"),
    ("accent", "paper"),
]
TEXT += [("accent", "panel"), ("on-accent", "accent"), ("on-accent", "accent-strong"), ("good", "panel")]
TEXT += [(text, f"{kind}-paper") for kind in ("warn", "stop", "good") for text in (kind, "ink", "soft")]
TEXT += [("warn", "paper"), ("stop", "paper"), ("good", "paper")]
GRAPHICS = [("edge", "paper"), ("edge", "panel"), ("accent", "track"), ("bar", "paper")]
GRAPHICS += [(line, "paper") for line in ("one", "two", "three", "four")]


@pytest.mark.parametrize("block", [":root", ".dark"])
def test_contrast_meets_wcag_aa(block: str) -> None:
    """Text 4.5 to 1, graphics 3 to 1: WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    named = colours(block)
    for pairs, least in ((TEXT, 4.5), (GRAPHICS, 3.0)):
        for first, second in pairs:
            assert contrast(named[first], named[second]) >= least, (first, second)


def test_the_page_s_own_colour_map_is_inferno() -> None:
    import matplotlib as mpl

    anchors = re.findall(r"#[0-9a-f]{6}", pages.static("draw.js").split("INFERNO = [")[1].split("]")[0])
    given = np.array([[int(anchor[at : at + 2], 16) for at in (1, 3, 5)] for anchor in anchors])
    expected = mpl.colormaps["inferno"](np.linspace(0, 1, len(anchors)))[:, :3] * 255
    np.testing.assert_allclose(given, expected, atol=8)


def test_files_of_the_page_name_no_other_server() -> None:
    for path in pages.STATIC.iterdir():
        said = path.read_text(encoding="utf-8")
        assert re.findall(r"https?://|(?<!:)//[a-z]+\.", said) == [], path.name
        if path.suffix == ".html":  # Gradio runs templates as JavaScript
            assert not re.search(r"[`$]|\{\{", said), path.name


def test_films_of_a_patient_are_counted_once_where_two_ask_at_once() -> None:
    job = Job(session="page", patience=60.0)
    job.found = [Input(str(number), b"") for number in range(3)]
    others = [lambda: Desk.priors(asking, asked, "")]  # asks while the first film of the first question is being read

    def taken(film: Input) -> Taken:
        if others:
            others.pop()()
        return Taken("one patient", int(film.name))

    asking: Any = SimpleNamespace(jobs=SimpleNamespace(job=lambda _: job), _taken=taken)
    asked = Listed(kind="listed", job="any", index=2)
    assert [each["index"] for each in Desk.priors(asking, asked, "")["films"]] == [0, 1]
    assert len(job.taken) == 3
