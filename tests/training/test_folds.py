"""Members of a cross-validation, and what a model learns from them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.training import data, folds, runs, stages
from cxr_keras3.training.data import Split
from tests.conftest import TINY
from tfds_cxr import reading

CONFIG = dataclasses.replace(TINY, folds=2, fine_tune="none", label_smoothing=0.0)


@pytest.fixture(scope="module")
def split(data_dir: Path) -> Split:
    return data.load_split(reading.find(data_dir), "train")


def test_no_member_is_asked_of_a_film_whose_patient_it_has_learnt_from(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired = dataclasses.replace(split, group_ids=np.array([f"patient {index // 2}" for index in range(len(split))]))
    learnt: list[set[str]] = []
    asked: list[tuple[int, set[str], list[str]]] = []

    def fit(model: object, config: object, train: Split, *arguments: object, **places: object) -> None:
        learnt.append(set(train.group_ids))

    def answer(model: object, films: Split) -> np.ndarray:
        if set(films.group_ids) != {"validation"}:
            asked.append((len(learnt) - 1, set(films.group_ids), films.image_ids.tolist()))
        return np.full((len(films), 4), len(learnt), dtype=np.float32) * np.array([1, 0, 0, 0], dtype=np.float32)

    monkeypatch.setattr(stages, "fit_stages", fit)
    monkeypatch.setattr(folds, "_logits", answer)
    validation = dataclasses.replace(split, group_ids=np.full(len(split), "validation"))
    taught = folds.teach(CONFIG, paired, validation, identity={}, run_dir=tmp_path, cache_dir=tmp_path)
    assert all(not groups & learnt[member] for member, groups, _ in asked)
    assert sorted(name for *_, names in asked for name in names) == sorted(split.image_ids)
    by_member = {name: member for member, _, names in asked for name in names}
    for index, name in enumerate(split.image_ids):  # each film has the word of its own member, and half of its label
        said = np.exp([by_member[name] + 1, 0, 0, 0]) / np.exp([by_member[name] + 1, 0, 0, 0]).sum()
        np.testing.assert_allclose(
            taught.targets[index], said / 2 + np.eye(4)[split.labels[index]] / 2, rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(taught.logits[:, 0], 1.5)


def test_members_teach_one_network_again_alike_after_a_kill(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = reading.find(data_dir)
    runs.train(CONFIG, builder=builder, run_dir=tmp_path / "taught", cache_dir=tmp_path / "cache")
    said = capsys.readouterr().err
    assert "member 1 of 2" in said
    assert "what the members' mean says" in said
    taught = Run.open(tmp_path / "taught")
    assert not taught.manifest.members  # one network, and one pass
    (tmp_path / "taught" / "manifest.json").unlink()  # as a process leaves it that was killed at its end
    before = taught.load_model().get_weights()
    runs.train(CONFIG, builder=builder, run_dir=tmp_path / "taught", cache_dir=tmp_path / "cache")
    for mine, theirs in zip(Run.open(tmp_path / "taught").load_model().get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_fold_is_refused() -> None:
    with pytest.raises(UserError, match="folds must be 0, or 2 and more, received 1"):
        dataclasses.replace(TINY, folds=1)


def test_more_folds_than_groups_are_refused(split: Split, tmp_path: Path) -> None:
    one = dataclasses.replace(split, group_ids=np.full(len(split), "one"))
    with pytest.raises(UserError, match="at most the 1 groups of training images, received 2"):
        folds.teach(CONFIG, one, one, identity={}, run_dir=tmp_path, cache_dir=tmp_path)


def test_targets_are_learnt_in_place_of_labels(split: Split) -> None:
    targets = np.tile(np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32), (len(split), 1))
    batch = next(data.batches(split.images[np.newaxis], split.labels, batch_size=8, seed=0, targets=targets))
    np.testing.assert_array_equal(batch[1], targets[:8])
