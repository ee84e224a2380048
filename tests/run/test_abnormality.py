"""The first question is asked within sources, no answer contradicts itself, and what nothing evidences is withheld."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import abnormality
from cxr_keras3.run.answers import answer
from cxr_keras3.run.folder import ABNORMALITY, Run
from cxr_keras3.run.site import Site
from tests import drawn_run
from tfds_cxr.labels import LABELS

COVID, OPACITY, NORMAL, VIRAL = range(4)
SIGN, PLACE = 0, 1  # the feature that shows the finding, and the one that shows the source


def confounded(count: int = 600, *, seed: int = 0) -> dict[str, np.ndarray]:
    """One source with normal films and opacities, one with COVID alone; a feature for the finding, one for the source.

    The source tells normal from COVID without fault, the finding only roughly.
    """
    generator = np.random.default_rng(seed)
    labels = generator.choice([COVID, OPACITY, NORMAL], size=count)
    features = generator.normal(size=(count, 6))
    features[:, SIGN] += 2.0 * (labels != NORMAL)
    features[:, PLACE] += 6.0 * (labels == COVID)
    return {
        "features": features,
        "labels": labels,
        "sources": np.where(labels == COVID, "alone", "both"),
        "views": np.full(count, "PA"),
        "groups": np.arange(count).astype(str),
    }


def fitted(drawn: dict[str, np.ndarray]) -> abnormality.Abnormality:
    return abnormality.fit(**drawn, normal=NORMAL, class_count=4)


def test_the_source_does_not_say_abnormal() -> None:
    """A normal film of the hospital that sent COVID alone keeps its score; a plain regression calls it abnormal."""
    new = confounded(seed=1)
    normal = new["features"][new["labels"] == NORMAL]
    moved = normal + 6.0 * np.eye(6)[PLACE]
    abnormal = new["features"][new["labels"] == OPACITY]

    def pull(found: abnormality.Abnormality) -> float:
        """What being of the other hospital adds to the logit, in units of what the finding adds."""
        base = found.logits(normal).mean()
        return float((found.logits(moved).mean() - base) / (found.logits(abnormal).mean() - base))

    careful = pull(fitted(confounded()))
    careless = pull(fitted(confounded() | {"sources": np.full(600, "one")}))  # as if the sources were not known
    assert 0 <= careful < 0.5
    assert careless > 0.8


def test_held_out_scores_are_of_fits_without_the_patient() -> None:
    drawn = confounded()
    found = fitted(drawn)
    assert found.fitted_on_normal.tolist() == (drawn["labels"] == NORMAL).tolist()
    own = found.logits(drawn["features"])
    assert np.corrcoef(found.fitted_on, own)[0, 1] > 0.95
    assert not np.allclose(found.fitted_on, own)


def test_a_film_is_evidenced_by_sources_with_both_kinds() -> None:
    drawn = confounded()
    found = fitted(drawn)
    assert found.sources.tolist() == ["alone", "both"]
    assert found.evidenced.tolist() == [[False] * 4, [False, True, True, False]]
    evidence = found.evidence(drawn["features"])
    of_both = drawn["sources"] == "both"
    assert (evidence[of_both, OPACITY] > 0.5).mean() > 0.95
    assert (evidence[~of_both, OPACITY] < 0.5).mean() > 0.95
    assert (evidence[:, COVID] == 0).all()


@pytest.mark.parametrize("one_source", [True, False])
def test_saved_and_read_it_is_the_same(one_source: bool, tmp_path: Path) -> None:
    drawn = confounded()
    found = fitted(drawn | ({"sources": np.full(600, "both")} if one_source else {}))
    abnormality.save(found, tmp_path / ABNORMALITY)
    read = abnormality.read(tmp_path / ABNORMALITY)
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(found, field.name))
    assert read.evidence(drawn["features"]).shape == (600, 4)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ABNORMALITY).write_bytes(content)
    with pytest.raises(UserError, match=r"abnormality\.npz"):
        abnormality.read(tmp_path / ABNORMALITY)


def test_images_of_one_kind_are_refused() -> None:
    drawn = confounded()
    with pytest.raises(UserError, match="Normal"):
        fitted(drawn | {"labels": np.full(600, NORMAL)})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = drawn_run.write(tmp_path_factory.mktemp("runs") / "first")
    drawn_run.write_abnormality(folder, weights=np.eye(4)[0], bias=0.0)
    return Run.open(folder)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nothing_in_an_answer_contradicts(run: Run, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, features = 3 * generator.normal(size=(40, 4)), generator.normal(size=(40, 4))
    found = answer(run, logits, features)
    assert ((found.predicted == NORMAL) == ~found.flags).all()
    assert found.prediction_sets[np.arange(40), found.predicted].all()
    assert (found.flags == (found.abnormal_scores >= run.required_calibration.abnormal_threshold)).all()
    assert not any(reason for reason, flag in zip(found.withheld, found.flags, strict=True) if not flag)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)


def test_what_no_source_evidences_is_withheld_until_a_site_vouches_for_it(run: Run, tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "run")
    drawn_run.write_abnormality(folder, weights=np.eye(4)[0], bias=0.0, evidenced=False)
    opened = Run.open(folder)
    logits, features = np.eye(4)[[COVID, VIRAL, COVID]], np.array([[2.0, 0, 0, 0], [2.0, 0, 0, 0], [-2.0, 0, 0, 0]])
    found = answer(opened, logits, features)
    assert [LABELS[index] for index in found.predicted] == ["COVID", "Viral Pneumonia", "Normal"]
    assert "cannot be told apart from the hospital" in found.withheld[0]
    assert found.withheld[2] == ""
    records.write(tmp_path / "site.json", profile(opened, vouched=("COVID",)))
    there = Run.open(folder, site=tmp_path)
    assert [bool(reason) for reason in answer(there, logits, features).withheld] == [False, True, False]
    assert there.fingerprint != opened.fingerprint
    assert answer(run, logits, features).withheld == ("", "", "")


def profile(run: Run, **changes: object) -> Site:
    return Site(
        **{
            "schema_version": 1,
            "name": "north",
            "run": run.name,
            "fingerprint": run.fingerprint,
            "created": "2026-01-01T00:00:00+00:00",
            "films": 100,
            "refused": 0,
            "labelled": 0,
            "differences": {},
            "unlike": 0.0,
            "offset": 0.0,
            "abnormal_share": None,
            "calibration": run.required_calibration,
            "vouched": (),
            "verdict": "as is",
            "reasons": ("drawn",),
        }
        | changes
    )


def test_a_site_moves_the_score(run: Run, tmp_path: Path) -> None:
    logits, features = np.zeros((1, 4)), np.array([[-1.0, 0, 0, 0]])
    assert not answer(run, logits, features).flags[0]
    records.write(tmp_path / "site.json", profile(run, offset=3.0))
    found = answer(Run.open(run.folder, site=tmp_path), logits, features)
    assert found.flags[0]
    (logit,) = run.required_abnormality.logits(features)
    assert found.abnormal_scores[0] == pytest.approx(1 / (1 + np.exp(-logit - 3.0)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"fingerprint": "another"}, "was made for"), ({"verdict": "do not use", "reasons": ("too far",)}, "too far")],
)
def test_a_profile_of_another_run_or_against_it_is_refused(
    changes: dict[str, object], words: str, run: Run, tmp_path: Path
) -> None:
    records.write(tmp_path / "site.json", profile(run, **changes))
    with pytest.raises(UserError, match=words):
        Run.open(run.folder, site=tmp_path)


def test_a_profile_is_read_from_its_folder_or_file(run: Run, tmp_path: Path) -> None:
    written = profile(run)
    records.write(tmp_path / "site.json", written)
    for path in (tmp_path, tmp_path / "site.json"):
        assert Run.open(run.folder, site=path).site == written
    with pytest.raises(UserError, match="commission"):
        Run.open(run.folder, site=tmp_path / "missing")


def test_contrast_and_level_of_a_films_features_change_no_answer() -> None:
    drawn = confounded()
    found = fitted(drawn)
    generator = np.random.default_rng(0)
    gain, level = generator.uniform(0.5, 2.0, (len(drawn["features"]), 1)), generator.normal(size=(600, 1))
    elsewhere = found.logits(drawn["features"] * gain + level)
    np.testing.assert_allclose(elsewhere, found.logits(drawn["features"]), rtol=1e-3, atol=1e-3)
    assert np.isfinite(found.logits(np.full((1, 6), 3.0))).all()  # all features equal
