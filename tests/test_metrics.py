"""Metrics agree with scikit-learn, obey their invariances, and their intervals mean something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn import metrics as sk

from cxr_keras3 import metrics

REPEATS = 60
NAMES = ("a", "b", "c", "d")


def scores(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all four classes, and probabilities that know something of them."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), generator.integers(0, 4, count - 4)])
    logits = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    return labels, metrics.softmax(logits)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_figures_are_scikit_learns(seed: int) -> None:
    labels, probabilities = scores(seed)
    predicted = probabilities.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "macro_auroc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
    }
    assert {name: metric(labels, probabilities) for name, metric in metrics.HEADLINES.items()} == pytest.approx(
        expected, abs=1e-12
    )
    assert metrics.confusion_matrix(labels, predicted, class_count=4) == sk.confusion_matrix(labels, predicted).tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_images_does_not_matter(seed: int) -> None:
    labels, probabilities = scores(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    for name, metric in metrics.HEADLINES.items():
        assert metric(labels, probabilities) == pytest.approx(metric(labels[order], probabilities[order])), name


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4), min_size=1, max_size=5))
def test_softmax_is_scipys_and_survives_large_logits(rows: list[list[float]]) -> None:
    logits = np.array(rows)
    np.testing.assert_allclose(metrics.softmax(logits), scipy_softmax(logits, axis=1), atol=1e-12)


def test_an_absent_class_leaves_the_figures_finite() -> None:
    labels, probabilities = scores(0)
    kept = labels != 3
    figures = metrics.headline_figures(labels[kept], probabilities[kept], groups=np.arange(kept.sum()))
    assert all(np.isfinite(figure["value"]) for figure in figures.values())
    one = metrics.headline_figures(
        labels[labels == 2], probabilities[labels == 2], groups=np.arange((labels == 2).sum())
    )
    assert one["macro_auroc"] == {"value": None, "low": None, "high": None}


def test_by_class_names_every_class_and_counts_its_images() -> None:
    labels, probabilities = scores(0)
    rows = metrics.by_class(labels, probabilities.argmax(axis=1), class_names=NAMES)
    assert {name: row["images"] for name, row in rows.items()} == dict(
        zip(NAMES, np.bincount(labels).tolist(), strict=True)
    )


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Groups of five images that are right or wrong together: the image bootstrap would cover far less."""
    truth, covered, naive = 0.8, 0, 0
    for seed in range(REPEATS):
        generator = np.random.default_rng(seed)
        right = np.repeat(generator.random(60) < truth, 5)
        probabilities = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
        labels = np.zeros(300, dtype=int)
        for groups, count in ((np.repeat(np.arange(60), 5), "group"), (np.arange(300), "image")):
            figure = metrics.bootstrap(
                metrics.HEADLINES["accuracy"], labels, probabilities, groups=groups, resamples=100, seed=seed
            )
            inside = figure["low"] <= truth <= figure["high"]
            covered, naive = covered + (inside and count == "group"), naive + (inside and count == "image")
    assert 0.86 <= covered / REPEATS <= 1.0
    assert naive / REPEATS < 0.75


def test_bootstrap_is_decided_by_its_seed() -> None:
    labels, probabilities = scores(0)
    groups = np.arange(len(labels)) // 2
    accuracy = metrics.HEADLINES["accuracy"]
    first = metrics.bootstrap(accuracy, labels, probabilities, groups=groups, resamples=50, seed=1)
    assert first == metrics.bootstrap(accuracy, labels, probabilities, groups=groups, resamples=50, seed=1)
    assert first["low"] <= first["value"] <= first["high"]
