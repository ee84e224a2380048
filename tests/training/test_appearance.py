"""Appearance is redrawn and the finding is not; classes, sources and views are drawn as asked."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.training import data
from cxr_keras3.training.appearance import Appearance, redrawn, with_greys_of
from tfds_cxr import phantom


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.stack([phantom.draw("Normal", seed=3, index=index)[0][..., np.newaxis] for index in range(4)])


def test_it_is_decided_by_the_seed_and_stays_a_film(films: np.ndarray) -> None:
    change = Appearance(films, share=1.0)
    first, again, other = (change(films[0], seed=(0, epoch, 0)) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype) == ((299, 299, 1), np.uint8)
    assert (first != other).any()


def test_only_the_share_is_redrawn(films: np.ndarray) -> None:
    change = Appearance(films, share=0.3)
    same = [np.array_equal(change(films[0], seed=(0, epoch, 0)), films[0]) for epoch in range(120)]
    assert np.mean(same) == pytest.approx(0.7 + 0.3 / 16, abs=0.13)  # of those redrawn one in 16 has no change


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_seen_stays_where_it_is(films: np.ndarray, seed: int) -> None:
    found = redrawn(films[1][..., 0], np.random.default_rng(seed))
    assert found.shape == (299, 299)
    assert np.corrcoef(found.ravel(), films[1].ravel())[0, 1] > 0.97


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1))
def test_greys_are_matched_in_order(films: np.ndarray, share: float) -> None:
    grey, other = films[0][..., 0], films[2][..., 0]
    cumulated = np.bincount(other.ravel(), minlength=256).cumsum() / other.size
    found = with_greys_of(grey, cumulated.astype(np.float32), share=share)
    order = np.argsort(grey, axis=None)
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()  # no grey overtakes another
    if share == 1.0:
        assert np.quantile(found, 0.5) == pytest.approx(np.quantile(other, 0.5), abs=3)


def test_strata_are_drawn_by_the_root_of_their_size_and_classes_alike() -> None:
    labels = np.repeat([0, 0, 2], [90, 10, 300])
    strata = np.repeat(["bimcv/", "figure1/", "rsna/PA"], [90, 10, 300])
    batches = data.batches(
        np.arange(400, dtype=np.float32).reshape(1, 400, 1),
        labels,
        batch_size=50,
        seed=0,
        class_balance="strata",
        strata=strata,
    )
    drawn = np.concatenate([batch[0].ravel() for batch in itertools.islice(batches, 160)]).astype(int)
    shares = {name: np.mean(strata[drawn] == name) for name in np.unique(strata)}
    assert shares["rsna/PA"] == pytest.approx(0.5, abs=0.03)
    assert shares["bimcv/"] / shares["figure1/"] == pytest.approx(3.0, rel=0.2)
