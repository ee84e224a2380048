"""The gate on features and pictures whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.run import gate


def films(count: int, *, seed: int) -> np.ndarray:
    """Pictures with an up, a left and a dark: bright below, a bright band to the left, noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:299, 0:299] / 298.0
    drawn = 60 + 100 * rows**2 + 60 * (columns < 0.2)
    noisy = drawn + generator.normal(0, 12, (count, 299, 299)) + generator.normal(0, 10, (count, 1, 1))
    return np.clip(noisy, 0, 255).astype(np.uint8)[..., np.newaxis]


def features(count: int, *, seed: int) -> np.ndarray:
    """Correlated positive features with long tails, as pooled activations are."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(0, 0.3, (6, 6))
    return np.exp(generator.normal(0, 1, (count, 6)) @ mixing).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> gate.Gate:
    return gate.fit(features(400, seed=0), features(300, seed=1), images_train=films(60, seed=0))


def test_it_accepts_the_share_that_it_is_fitted_for(fitted: gate.Gate) -> None:
    distances = fitted.distances(features(300, seed=1))
    assert np.mean(distances <= fitted.threshold) >= gate.ACCEPTED_SHARE
    assert np.mean(fitted.distances(features(2000, seed=2)) <= fitted.threshold) > 0.97


def test_distances_are_mahalanobis_distances(fitted: gate.Gate) -> None:
    from sklearn.covariance import LedoitWolf

    expected = LedoitWolf().fit(np.log1p(features(400, seed=0))).mahalanobis(np.log1p(features(50, seed=3)))
    np.testing.assert_allclose(fitted.distances(features(50, seed=3)), expected, rtol=1e-3)


def test_a_film_passes_and_a_turned_inverted_or_blank_one_does_not(fitted: gate.Gate) -> None:
    upright = films(20, seed=5)
    near = np.repeat(np.expm1(fitted.mean)[np.newaxis], 20, axis=0)
    assert fitted.reasons(upright, fitted.distances(near)) == [""] * 20
    for picture, words in (
        (np.rot90(upright, 1, (1, 2)), "90 degrees counter-clockwise"),
        (np.rot90(upright, 2, (1, 2)), "upside down"),
        (np.rot90(upright, 3, (1, 2)), "90 degrees clockwise"),
        (255 - upright, "inverted"),
        (np.full_like(upright, 90), "blank"),
    ):
        reasons = fitted.reasons(picture, fitted.distances(near))
        assert all(words in reason and "\n" not in reason for reason in reasons)
    askew = fitted.reasons(np.rot90(upright, 2, (1, 2)), fitted.distances(near), [7.0] * 10 + [1.0] * 10)
    assert all("or askew by 7 degrees" in reason for reason in askew[:10])
    assert not any("askew" in reason for reason in askew[10:])


def test_what_is_far_from_the_training_films_is_refused(fitted: gate.Gate) -> None:
    far = np.full((3, 6), 200.0, dtype=np.float32)
    assert all("does not look like" in reason for reason in fitted.reasons(films(3, seed=6), fitted.distances(far)))


def test_features_that_never_stir_do_no_harm() -> None:
    dead = features(30, seed=0)
    dead[:, 2] = 0.0
    for train in (dead, np.zeros_like(dead)):
        fitted = gate.fit(train, train, images_train=films(30, seed=0))
        assert np.all(np.isfinite(fitted.distances(train)))
        assert fitted.reasons(films(30, seed=0), fitted.distances(train)) == [""] * 30


def test_saved_and_loaded_it_says_the_same(fitted: gate.Gate, tmp_path: Path) -> None:
    gate.save(fitted, tmp_path / "gate.npz")
    again = gate.read(tmp_path / "gate.npz")
    np.testing.assert_array_equal(
        again.distances(features(9, seed=4)) / again.threshold, fitted.distances(features(9, seed=4)) / fitted.threshold
    )
    assert [file.name for file in tmp_path.iterdir()] == ["gate.npz"]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04damaged"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "gate.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"gate\.npz is not a gate"):
        gate.read(tmp_path / "gate.npz")
