"""Temperature, flag and prediction sets: what they promise holds on new images, and files are checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import calibration
from tfds_cxr.labels import LABELS

NORMAL = LABELS.index("Normal")


def logits_and_labels(count: int, *, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of the logits, which are then multiplied by `sharpness`."""
    generator = np.random.default_rng(seed)
    logits = 2.0 * generator.normal(size=(count, 4))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    return sharpness * logits, labels


def abnormal_scores(logits: np.ndarray) -> np.ndarray:
    """Some score that knows of the class, and nothing of the labels."""
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return 1.0 - chances[:, NORMAL]


def fitted(count: int = 400, *, seed: int = 0, sharpness: float = 1.0) -> calibration.Calibration:
    logits, labels = logits_and_labels(count, seed=seed, sharpness=sharpness)
    return calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_false_confidence(sharpness: float) -> None:
    assert fitted(20_000, sharpness=sharpness).temperature == pytest.approx(sharpness, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(40, 300))
def test_what_is_promised_holds_on_the_images_fitted_on(seed: int, count: int) -> None:
    logits, labels = logits_and_labels(count, seed=seed)
    found = calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS)
    probabilities = found.probabilities(logits)
    flags = found.flag(abnormal_scores(logits))
    assert flags[labels != NORMAL].mean() >= found.sensitivity
    for coverage in calibration.COVERAGES:
        sets = found.prediction_sets(probabilities, coverage)
        for label in np.unique(labels):
            assert sets[labels == label, label].mean() >= float(coverage)
    assert (found.prediction_sets(probabilities, "0.90") <= found.prediction_sets(probabilities, "0.95")).all()


def test_sensitivity_and_coverage_hold_on_new_images_on_average() -> None:
    new_logits, new_labels = logits_and_labels(20_000, seed=999)
    covered, flagged = [], []
    for seed in range(200):
        found = fitted(200, seed=seed)
        probabilities = found.probabilities(new_logits)
        sets = found.prediction_sets(probabilities, "0.90")
        covered.append([sets[new_labels == label, label].mean() for label in range(4)])
        flagged.append(found.flag(abnormal_scores(new_logits))[new_labels != NORMAL].mean())
    spread = 3 * np.std(covered, axis=0) / np.sqrt(len(covered))
    # At least what is promised, and at most one image of about 50 of a class in validation more.
    assert (np.mean(covered, axis=0) > 0.90 - spread).all()
    assert (np.mean(covered, axis=0) < 0.90 + 1 / 30 + spread).all()
    assert np.mean(flagged) == pytest.approx(0.90, abs=0.01)


def test_too_few_images_promise_nothing_less() -> None:
    logits, labels = np.eye(4) * 3.0, np.arange(4)
    found = calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS)
    new = np.random.default_rng(0).normal(size=(20, 4))
    assert found.prediction_sets(found.probabilities(new), "0.95").all()
    assert found.flag(abnormal_scores(new)).all()


def test_images_always_answered_right_give_a_finite_temperature() -> None:
    labels = np.arange(40) % 4
    found = calibration.fit(10.0 * np.eye(4)[labels], np.where(labels == NORMAL, 0.1, 0.9), labels, class_names=LABELS)
    assert found.temperature >= calibration.TEMPERATURES[0]
    np.testing.assert_allclose(found.probabilities(np.eye(4)).sum(axis=1), 1.0)


def test_probabilities_of_float32_logits_are_float64_and_ranked_alike() -> None:
    found = fitted(sharpness=2.0)
    logits = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    probabilities = found.probabilities(logits)
    assert probabilities.dtype == np.float64
    assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_file_gives_back_the_same(tmp_path: Path) -> None:
    found = fitted()
    records.write(tmp_path / "calibration.json", found)
    assert calibration.read(tmp_path / "calibration.json") == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 9}, "schema version"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": "warm"}, "must be a Calibration"),
        ({"abnormal_threshold": 1.5}, "0..1"),
        ({"class_names": ["a", "b", "c", "d"]}, "Normal"),
        ({"conformal_thresholds": {"0.90": [0.5, 0.5, 0.5, 0.5]}}, "coverages"),
        ({"conformal_thresholds": {"0.90": [0.5], "0.95": [0.5]}}, "one number a class"),
        ({"conformal_thresholds": []}, "must be a Calibration"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "calibration.json"
    records.write(path, fitted())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=words):
        calibration.read(path)


@pytest.mark.parametrize("text", ["not json", "[]", "{}"])
def test_what_is_no_calibration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(UserError, match="must be a Calibration"):
        calibration.read(tmp_path / "calibration.json")


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cxr_keras3\.evaluate"):
        calibration.read(tmp_path / "calibration.json")


@pytest.mark.parametrize("sensitivity", [0.0, 1.0, float("nan")])
def test_an_impossible_sensitivity_is_refused(sensitivity: float) -> None:
    logits, labels = logits_and_labels(40, seed=0)
    with pytest.raises(UserError, match="sensitivity"):
        calibration.fit(logits, abnormal_scores(logits), labels, class_names=LABELS, sensitivity=sensitivity)


def test_images_of_one_kind_are_refused() -> None:
    with pytest.raises(UserError, match="Normal"):
        calibration.fit(np.zeros((5, 4)), np.zeros(5), np.zeros(5, int), class_names=LABELS)
