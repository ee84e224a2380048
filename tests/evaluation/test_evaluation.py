"""Triage, abstention, comparison, images from elsewhere, and what an evaluated run holds."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest
from sklearn import metrics as sk

from cxr_keras3 import serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import abstention, comparison, external, measures
from cxr_keras3.evaluation.triage import PREVALENCES, triage
from cxr_keras3.report import plots
from cxr_keras3.run import calibration
from cxr_keras3.run.answers import answer
from cxr_keras3.run.filling import is_complete
from cxr_keras3.run.folder import EVALUATION, GATE, MANIFEST, MODEL_CARD, PREDICTIONS, REPORT, Run
from cxr_keras3.run.metrics import Metrics
from cxr_keras3.statistics import metrics
from cxr_keras3.statistics.figures import Figure
from tests import drawn_run
from tfds_cxr.labels import LABELS

NORMAL = LABELS.index("Normal")


def scored(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all classes and logits that know something of them."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), generator.integers(0, 4, count - 4)])
    return labels, generator.normal(size=(count, 4)) + 2 * np.eye(4)[labels]


def abnormal_scores(logits: np.ndarray) -> np.ndarray:
    return 1.0 - metrics.softmax(logits)[:, NORMAL]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_triage_is_what_its_definitions_say(seed: int) -> None:
    labels, logits = scored(seed)
    fitted = calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS, sensitivity=0.8)
    new_labels, new_logits = scored(seed + 1)
    found = triage(fitted, abnormal_scores(new_logits), new_labels, groups=np.arange(len(new_labels)))
    flags, abnormal = fitted.flag(abnormal_scores(new_logits)), new_labels != NORMAL
    assert found.sensitivity.value == pytest.approx(sk.recall_score(abnormal, flags))
    assert found.specificity.value == pytest.approx(sk.recall_score(~abnormal, ~flags))
    for prevalence in PREVALENCES:
        weights = np.where(abnormal, prevalence / abnormal.mean(), (1 - prevalence) / (~abnormal).mean())
        row = found.by_prevalence[str(prevalence)]
        expected = sk.precision_score(abnormal, flags, sample_weight=weights)
        assert row.positive_predictive_value.value == pytest.approx(expected)
        spared = 1000 * (weights * ~flags * ~abnormal).sum() / weights.sum()
        assert row.normal_spared_per_thousand.value == pytest.approx(spared)
        missed = 1000 * (weights * ~flags * abnormal).sum() / weights.sum()
        assert row.abnormal_missed_per_thousand.value == pytest.approx(missed)


def test_surer_answers_are_righter_and_sets_are_counted() -> None:
    labels, logits = scored(0, 800)
    fitted = calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS)
    probabilities, groups = fitted.probabilities(logits), np.arange(len(labels))
    rows = abstention.accuracy_by_share_answered(probabilities, labels, groups=groups)
    assert rows["1.0"].value == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
    assert rows["0.5"].value > rows["0.8"].value > rows["1.0"].value
    for coverage, row in abstention.prediction_sets(fitted, probabilities, labels, groups=groups).items():
        assert all(figure.value >= float(coverage) for figure in row.by_class.values())
        assert sum(row.sizes.values()) == len(labels)
        sizes = sum(int(size) * count for size, count in row.sizes.items())
        assert row.mean_size.value == pytest.approx(sizes / len(labels))


def test_images_of_one_class_leave_what_needs_two_undefined(tmp_path: Path) -> None:
    labels, logits = scored(0)
    covid = logits[labels == 0]
    run = Run.open(drawn_run.write(tmp_path / "run"))
    answers = answer(run, covid, np.zeros((len(covid), 6)))
    found = measures.measure(run, covid, answers, np.zeros(len(covid), int), groups=np.arange(len(covid)))
    assert found.macro_auroc.value is None
    assert found.triage.specificity.value is None
    assert found.triage.sensitivity.value is not None
    json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_a_comparison_turns_its_sign_when_turned_round() -> None:
    labels, logits = scored(0, 300)
    weak, strong = metrics.softmax(logits), metrics.softmax(logits + np.eye(4)[labels])
    groups = np.arange(300) // 2
    forth = comparison.paired(weak, strong, labels, groups=groups)
    back = comparison.paired(strong, weak, labels, groups=groups)
    for name in metrics.HEADLINES:
        one, other = forth.difference.headlines()[name], back.difference.headlines()[name]
        assert one.value == pytest.approx(-other.value)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
        assert one.value == pytest.approx(forth.second.headlines()[name].value - forth.first.headlines()[name].value)
    assert forth.difference.accuracy.low > 0.0
    only = forth.mcnemar.only_first_right, forth.mcnemar.only_second_right
    assert only == (0, back.mcnemar.only_first_right)
    assert forth.mcnemar.p_value == pytest.approx(binomtest(0, sum(only)).pvalue)


def test_a_model_does_not_differ_from_itself() -> None:
    labels, logits = scored(0)
    found = comparison.paired(*[metrics.softmax(logits)] * 2, labels, groups=np.arange(len(labels)))
    assert found.mcnemar.p_value == 1.0
    assert found.difference.log_loss == Figure(value=0.0, low=0.0, high=0.0)


def test_folders_and_tables_name_the_same_files(tmp_path: Path) -> None:
    for name in ("covid", "Viral Pneumonia"):
        (tmp_path / "films" / name).mkdir(parents=True)
        (tmp_path / "films" / name / "a.png").write_bytes(b"")
    found = external.from_folder(tmp_path / "films", LABELS)
    assert [(item.file.parent.name, item.label) for item in found] == [("Viral Pneumonia", 3), ("covid", 0)]
    table = tmp_path / "table.csv"
    table.write_text("label,path\nLung_Opacity,films/covid/a.png\n")
    assert external.from_table(table, LABELS) == [external.Labelled(tmp_path / "films/covid/a.png", 1)]


@pytest.mark.parametrize(
    ("content", "words"),
    [("path\na.png\n", "columns"), ("path,label\n", "row"), ("path,label\na.png,Bacterial\n", "Bacterial")],
)
def test_a_table_that_does_not_fit_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(UserError, match=words):
        external.from_table(tmp_path / "table.csv", LABELS)


def test_folders_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folders named"):
        external.from_folder(tmp_path, LABELS)
    (tmp_path / "Bacterial Pneumonia").mkdir()
    with pytest.raises(UserError, match=r"Bacterial Pneumonia.*--labels"):
        external.from_folder(tmp_path, LABELS)
    with pytest.raises(UserError, match="must be a folder"):
        external.from_folder(tmp_path / "missing", LABELS)


def test_a_map_without_activation_still_makes_a_picture() -> None:
    picture = plots.film(np.zeros((299, 299, 1), np.uint8), np.zeros((7, 7), np.float32))
    assert picture.startswith("data:image/jpeg;base64,")


@pytest.fixture(scope="module")
def results(run_dir: Path) -> Metrics:
    found = Run.open(run_dir).metrics
    assert found is not None
    return found


def test_metrics_hold_what_others_read(results: Metrics, run_dir: Path) -> None:
    written = json.loads((run_dir / "evaluation" / "metrics.json").read_text())
    for name in metrics.HEADLINES:
        assert set(written[name]) == {"value", "low", "high"}
    assert set(results.floors) == {
        "largest_class",
        "source_oracle",
        "border_only",
        "thumbnail",
        "image_statistics",
    }
    assert results.audit.verdict in {"PASS", "WARN", "FAIL"}
    assert (results.audit.verdict == "PASS") == (results.audit.reasons == ())
    assert results.audit.regions.without_mask == 0
    fitted = Run.open(run_dir).required_calibration
    assert fitted.split == "validation"
    assert results.calibration.temperature == fitted.temperature
    assert results.triage.threshold == fitted.abnormal_threshold


def test_predictions_follow_from_the_calibration(run_dir: Path) -> None:
    fitted = Run.open(run_dir).required_calibration
    with (run_dir / "evaluation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        probabilities = np.array([[float(row[name]) for name in LABELS]])
        flagged = float(row["abnormal_score"]) >= fitted.abnormal_threshold
        assert (row["flag"] == "True") == flagged == (row["predicted"] != "Normal")
        if flagged:
            most = max((name for name in LABELS if name != "Normal"), key=lambda name: float(row[name]))
            assert row["predicted"] == most
        inside = fitted.prediction_sets(probabilities)[0] | (np.array(LABELS) == row["predicted"])
        assert row["prediction_set"] == "; ".join(name for name, held in zip(LABELS, inside, strict=True) if held)


def test_the_report_opens_with_the_verdict(run_dir: Path, results: Metrics) -> None:
    page = (run_dir / "evaluation" / "report.html").read_text()
    first_screen = page[: page.index('id="figures"')]
    assert f"{results.audit.verdict}</span>" in first_screen
    for reason in results.audit.reasons:
        assert reason.text.split("'")[0] in first_screen
    for words in ("Not a medical device", "must not be used", "On whom", "How it fails"):
        assert words in first_screen


def test_the_model_card_has_the_header_that_hubs_read(run_dir: Path, results: Metrics) -> None:
    _, header, text = (run_dir / MODEL_CARD).read_text().split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["library_name"] == "keras"
    (entry,) = card["model-index"]
    found = {row["type"]: row["value"] for row in entry["results"][0]["metrics"]}
    assert found["accuracy"] == pytest.approx(results.accuracy.value, abs=1e-4)
    assert "Not a medical device" in text
    assert "synthetic" in text


def test_images_from_elsewhere_are_measured_and_bad_files_listed(
    run_dir: Path, database_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    root = database_dir / "COVID-19_Radiography_Dataset"
    for label in ("COVID", "Normal"):
        (folder / label).mkdir(parents=True)
        for file in sorted((root / label / "images").iterdir())[:3]:
            shutil.copy(file, folder / label)
    shutil.copy(next((folder / "COVID").iterdir()), folder / "COVID" / "copy.png")
    (folder / "Normal" / "text.png").write_text("this is text")
    Image.new("L", (299, 299), 7).save(folder / "Normal" / "flat.png")
    found = external.evaluate(Run.open(run_dir), external.from_folder(folder, LABELS), output_dir=tmp_path / "out")
    assert (found.images, found.groups) == (8, 7)
    assert [Path(row.file).name for row in found.unreadable] == ["text.png"]
    assert found.internal.accuracy.value is not None
    page = (tmp_path / "out" / REPORT).read_text()
    assert "1 of 9 files could not be read" in page
    assert "text.png" in page
    with (tmp_path / "out" / PREDICTIONS).open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_run_of_a_region_is_shown_it_on_images_from_elsewhere(film: Path, tmp_path: Path) -> None:
    """As `predict` shows it, and the film without lungs is named."""
    folder = drawn_run.write(tmp_path / "mine")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"config": manifest["config"] | {"region": "lungs"}}))
    Image.new("L", (299, 299), 7).save(tmp_path / "flat.png")
    labelled = [external.Labelled(film, 2), external.Labelled(tmp_path / "flat.png", 2)]
    found = external.evaluate(Run.open(folder), labelled, output_dir=tmp_path / "out")
    assert [(Path(row.file).name, row.reason) for row in found.unreadable] == [("flat.png", "no lungs are found on it")]
    (answer,) = serving.load(folder).predict([film])
    with (tmp_path / "out" / PREDICTIONS).open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["COVID"]) == pytest.approx(answer.probabilities["COVID"], abs=2e-3)
    (whole,) = serving.load(drawn_run.write(tmp_path / "whole")).predict([film])
    assert abs(whole.probabilities["COVID"] - answer.probabilities["COVID"]) > 0.01


def test_external_images_need_a_calibrated_run(run_dir: Path, film: Path, tmp_path: Path) -> None:
    labelled = [external.Labelled(film, 0)]
    shutil.copy(run_dir / MANIFEST, tmp_path)
    with pytest.raises(UserError, match=r"calibration\.json"):
        external.evaluate(Run.open(tmp_path), labelled, output_dir=tmp_path)


def test_another_sensitivity_refits_and_the_same_does_not() -> None:
    labels, logits = scored(0)
    scores = abnormal_scores(logits)
    first = calibration.adjusted(None, logits, scores, labels, class_names=LABELS)
    assert first.sensitivity == 0.90
    assert calibration.adjusted(first, logits * 9, scores, labels, class_names=LABELS) is first
    second = calibration.adjusted(first, logits * 1.01, scores, labels, class_names=LABELS, sensitivity=0.8)
    assert second.temperature == first.temperature  # exports hold it
    assert second.abnormal_threshold > first.abnormal_threshold
    third = calibration.adjusted(second, logits, scores / 2, labels, class_names=LABELS, other_scores=True)
    assert third.sensitivity == 0.8
    assert third.temperature == first.temperature
    assert third.abnormal_threshold == pytest.approx(second.abnormal_threshold / 2)


def test_a_killed_evaluation_does_not_count_as_finished(
    run_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what was there before nor what had been measured stands beside half of the new files."""
    from cxr_keras3.evaluation import run as evaluation
    from tfds_cxr import reading

    folder = Path(shutil.copytree(run_dir, tmp_path / "run"))
    (folder / GATE).touch()
    assert is_complete(folder)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation.pages, "write_model_card", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(
            Run.open(folder), reading.find(data_dir), split="test", output_dir=folder / EVALUATION, runtime="jax"
        )
    assert not is_complete(folder)
    assert not list(folder.rglob("*.partial"))


def test_two_runs_are_compared_on_their_dataset(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    from cxr_keras3 import evaluate

    output = tmp_path / "out"
    arguments = [str(run_dir), str(run_dir), "--data-dir", str(data_dir), "--output", str(output)]
    assert evaluate.main(arguments) == 0
    found = json.loads((output / comparison.COMPARISON).read_text())
    assert found["difference"]["accuracy"]["value"] == 0.0
    assert "McNemar" in (output / comparison.COMPARISON_PAGE).read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "b", "c"], "at most two"),
        (["a", "--images", "x", "--labels", "y"], "both"),
        (["a", "b", "--images", "x"], "leave --images"),
        (["a", "b", "--sensitivity", "0.9"], "--sensitivity"),
    ],
)
def test_arguments_that_do_not_go_together_are_named(arguments: list[str], words: str) -> None:
    from cxr_keras3 import evaluate

    with pytest.raises(UserError, match=words):
        evaluate.parse(arguments)
