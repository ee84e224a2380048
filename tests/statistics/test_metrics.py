"""Metrics agree with scikit-learn, obey their invariances, and their intervals mean something."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from cxr_keras3.statistics import metrics
from cxr_keras3.statistics.bootstrap import Bootstrap, share, weighted_mean
from cxr_keras3.statistics.figures import UNDEFINED, Headlines

REPEATS = 150
NAMES = ("a", "b", "c", "d")


def scores(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all four classes, and probabilities that know something of them."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), generator.integers(0, 4, count - 4)])
    logits = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    return labels, metrics.softmax(logits)


def headlines(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The headline figures under one weighting (N,)."""
    weighting = weights[np.newaxis].astype(float)
    return {name: float(make(labels, probabilities)(weighting)[0]) for name, make in metrics.HEADLINES.items()}


def expected_error(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error, written as its definition reads."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for low in np.arange(metrics.CALIBRATION_BINS) / metrics.CALIBRATION_BINS:
        inside = (confidence >= low) & (confidence < low + 1 / metrics.CALIBRATION_BINS) & (weights > 0)
        if inside.any():
            gap = np.average(right[inside], weights=weights[inside]) - np.average(
                confidence[inside], weights=weights[inside]
            )
            total += abs(gap) * weights[inside].sum()
    return total / weights.sum()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), decimals=st.sampled_from([1, 2, 16]))
def test_figures_are_scikit_learns_under_any_weighting(seed: int, weighted: bool, decimals: int) -> None:
    """Few decimals make ties; weights of 0 are images that a bootstrap sample did not draw."""
    labels, probabilities = scores(seed)
    probabilities = probabilities.round(decimals) + 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    weights = np.random.default_rng(seed).integers(0, 4, len(labels)) if weighted else np.ones(len(labels), int)
    weights[:4] = 1  # every class keeps an image
    w = {"sample_weight": weights}
    binary = np.eye(4)[labels]
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted, **w),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted, **w),
        "macro_f1": sk.f1_score(labels, predicted, average="macro", **w),
        "macro_auroc": sk.roc_auc_score(binary, probabilities, average="macro", **w),
        "macro_average_precision": sk.average_precision_score(binary, probabilities, average="macro", **w),
        "expected_calibration_error": expected_error(labels, probabilities, weights),
        "brier": sk.brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False, **w),
        "log_loss": sk.log_loss(labels, probabilities, labels=range(4), **w),
    }
    assert headlines(labels, probabilities, weights) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_figures_by_class_are_scikit_learns(seed: int) -> None:
    labels, probabilities = scores(seed)
    predicted = probabilities.argmax(axis=1)
    rows = metrics.class_figures(labels, probabilities, class_names=NAMES, groups=np.arange(len(labels)))
    columns = sk.precision_recall_fscore_support(labels, predicted, zero_division=np.nan)
    for index, name in enumerate(NAMES):
        precision, recall, f1, images = (column[index] for column in columns)
        found = rows[name]
        assert found.images == images
        assert (found.recall.value, found.f1.value) == pytest.approx((recall, f1), abs=1e-12)
        assert found.precision.value == (None if np.isnan(precision) else pytest.approx(precision, abs=1e-12))
        area = sk.roc_auc_score(labels == index, probabilities[:, index])
        assert found.auroc.value == pytest.approx(area, abs=1e-12)
    assert metrics.confusion_matrix(labels, predicted, class_count=4) == tuple(
        map(tuple, sk.confusion_matrix(labels, predicted).tolist())
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_images_does_not_matter(seed: int) -> None:
    labels, probabilities = scores(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    everything = np.ones(len(labels))
    found = headlines(labels, probabilities, everything)
    for name, value in headlines(labels[order], probabilities[order], everything).items():
        assert value == pytest.approx(found[name]), name


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4), min_size=1, max_size=5))
def test_softmax_sums_to_one_and_survives_large_logits(rows: list[list[float]]) -> None:
    probabilities = metrics.softmax(np.array(rows, dtype=np.float32))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_an_absent_class_leaves_the_figures_finite() -> None:
    labels, probabilities = scores(0)
    kept = labels != 3
    figures = metrics.headline_figures(labels[kept], probabilities[kept], groups=np.arange(kept.sum()))
    assert all(np.isfinite(figure.value) for figure in figures.headlines().values())
    one = metrics.headline_figures(
        labels[labels == 2], probabilities[labels == 2], groups=np.arange((labels == 2).sum())
    )
    assert one.macro_auroc == UNDEFINED


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    labels, probabilities = scores(0)
    probabilities[:, 1] = 0.0
    row = metrics.class_figures(labels, probabilities, class_names=NAMES, groups=np.arange(len(labels)))["b"]
    assert row.precision.value is None
    assert row.recall.value == row.f1.value == 0.0


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Groups of five images that are right or wrong together: the image bootstrap would cover far less."""
    truth, covered, naive = 0.8, 0, 0
    for seed in range(REPEATS):
        right = np.repeat(np.random.default_rng(seed).random(60) < truth, 5).astype(float)

        def accuracy(weights: np.ndarray, right: np.ndarray = right) -> np.ndarray:
            return weighted_mean(right, weights)

        for groups, count in ((np.repeat(np.arange(60), 5), "group"), (np.arange(300), "image")):
            figure = Bootstrap(groups, resamples=200, seed=seed).figure(accuracy)
            inside = figure.low <= truth <= figure.high
            covered, naive = covered + (inside and count == "group"), naive + (inside and count == "image")
    assert 0.89 <= covered / REPEATS <= 0.99
    assert naive / REPEATS < 0.75


def test_bootstrap_is_decided_by_its_seed() -> None:
    labels, probabilities = scores(0)
    groups = np.arange(len(labels)) // 2
    first, second = (
        {
            name: Bootstrap(groups, resamples=70, seed=1).figure(make(labels, probabilities))
            for name, make in metrics.HEADLINES.items()
        }
        for _ in range(2)
    )
    assert first == second
    assert all(figure.low <= figure.value <= figure.high for figure in first.values() if figure.value > 0.2)
    assert set(first) == {field.name for field in fields(Headlines)}


def test_a_share_without_exceptions_keeps_an_interval() -> None:
    everyone = share(np.ones(40, bool), groups=np.arange(40))
    assert (everyone.value, everyone.low, everyone.high) == (1.0, pytest.approx(0.025 ** (1 / 40)), 1.0)
    assert share(np.zeros(40, bool), groups=np.arange(40)).high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert share(np.ones(40, bool), groups=np.arange(40) // 4).low == pytest.approx(0.025 ** (1 / 10))
    assert share(np.zeros(0, bool), groups=np.zeros(0)).value is None
