"""Figures by view, sex and age: known truth, gaps, and a view that decides or does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_keras3.evaluation.audit import subgroups
from tfds_cxr.labels import LABELS

RNG = np.random.default_rng(0)
COUNT = 600
# About as in RSNA: four of five films of class 1 are AP, four of five of class 2 are PA.
TRUTH = np.repeat([1, 2], COUNT // 2)
USUAL = RNG.random(COUNT) < 0.8
VIEWS = np.where((TRUTH == 1) == USUAL, "AP", "PA")
GROUPS = np.arange(COUNT)


def logits(shift: np.ndarray, *, evidence: np.ndarray | float = 4.0) -> np.ndarray:
    """Logits of a model with evidence for the true class, a random part, and a shift towards class 1."""
    found = RNG.normal(0, 1, (COUNT, 4))
    found[:, [0, 3]] -= 8
    found[np.arange(COUNT), TRUTH] += evidence
    found[:, 1] += shift
    return found


def test_a_model_that_answers_by_the_view_is_found() -> None:
    found = subgroups.view_tests(VIEWS, TRUTH, logits(np.where(VIEWS == "AP", 6.0, -6.0)), groups=GROUPS)
    assert found.is_used
    assert found.gap.low > 0.5
    assert found.shift["AP"].value == pytest.approx(12, abs=1)


def test_a_model_whose_strong_evidence_hides_the_view_in_one_kind_is_found() -> None:
    strong = np.where(TRUTH == 1, 12.0, 3.0)
    found = subgroups.view_tests(
        VIEWS, TRUTH, logits(np.where(VIEWS == "AP", 4.0, 0.0), evidence=strong), groups=GROUPS
    )
    assert found.is_used
    assert found.gap.low > 0.2


@pytest.mark.parametrize(
    ("shift", "evidence"),
    [
        (0.0, 4.0),  # nothing to do with the view
        (0.0, np.where((TRUTH == 1) & (VIEWS == "PA"), 0.5, 4.0)),  # disease that is milder standing
        (0.0, np.where(VIEWS == "AP", 1.0, 4.0)),  # films that are worse in bed
    ],
)
def test_severity_and_quality_are_no_use_of_the_view(shift: float, evidence: float | np.ndarray) -> None:
    found = subgroups.view_tests(VIEWS, TRUTH, logits(np.full(COUNT, shift), evidence=evidence), groups=GROUPS)
    assert not found.is_used


@pytest.mark.parametrize("views", [np.full(COUNT, ""), np.full(COUNT, "PA"), np.where(TRUTH == 1, "AP", "PA")])
def test_without_both_views_in_both_kinds_there_is_no_figure(views: np.ndarray) -> None:
    found = subgroups.view_tests(views, TRUTH, logits(np.zeros(COUNT)), groups=GROUPS)
    assert found.gap.value is None
    assert not found.is_used


def test_figures_within_a_view_are_those_of_its_films() -> None:
    predicted = np.where(RNG.random(COUNT) < 0.3, 3 - TRUTH, TRUTH)
    found = subgroups.subgroups(VIEWS, TRUTH, predicted, groups=GROUPS, class_names=LABELS)
    assert list(found) == ["AP", "PA"]
    for view, row in found.items():
        part = view == VIEWS
        assert row.images == part.sum()
        assert row.accuracy.value == pytest.approx((predicted == TRUTH)[part].mean())
        recalls = [(predicted == TRUTH)[part & (label == TRUTH)].mean() for label in (1, 2)]
        assert [row.recall[LABELS[label]].value for label in (1, 2)] == pytest.approx(recalls)
        assert row.balanced_accuracy.value == pytest.approx(np.mean(recalls))


def test_few_films_have_no_figure() -> None:
    sexes = np.array(["F"] * 9 + ["M"] * 20 + [""] * (COUNT - 29))
    found = subgroups.subgroups(sexes, TRUTH, TRUTH, groups=GROUPS, class_names=LABELS)
    assert list(found) == ["M"]
    assert list(found["M"].recall) == ["Lung_Opacity"]
    assert found["M"].balanced_accuracy.value is None


def test_the_largest_gap_of_each_class_is_named() -> None:
    sexes = np.where(np.arange(COUNT) % 2, "F", "M")
    missed = (sexes == "F") & (TRUTH == 2) & (RNG.random(COUNT) < 0.5)
    (gap,) = subgroups.recall_gaps("sex", sexes, TRUTH, np.where(missed, 1, TRUTH), groups=GROUPS, class_names=LABELS)
    assert (gap.attribute, gap.class_name, gap.best, gap.worst) == ("sex", "Normal", "M", "F")
    assert gap.low > 0.3


@given(st.lists(st.floats(0, 120) | st.just(float("nan")), min_size=1))
def test_every_known_age_is_in_one_band(ages: list[float]) -> None:
    bands = subgroups.age_bands(np.array(ages))
    for age, band in zip(ages, bands, strict=True):
        if np.isnan(age):
            assert band == ""
        else:
            low, high = subgroups.AGE_BANDS[str(band)]
            assert low <= age < high
