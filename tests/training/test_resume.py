"""A training that is interrupted anywhere ends with the same weights as one that is not."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.model import classifier
from cxr_keras3.run.filling import claimed
from cxr_keras3.run.folder import LOCK, Run
from cxr_keras3.training import checkpoint, data, features, loop, stages
from tests import splits
from tests.conftest import TINY


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 299, 299, 1), dtype=np.uint8)


class Extractor:
    """Stands in for a frozen backbone: the mean of each quarter, and a count of the batches it saw."""

    output_shape = (None, 2, 2, 1)

    def __init__(self, *, dies_after: int = 10**9, factor: float = 1.0) -> None:
        self.batches = 0
        self._dies_after = dies_after
        self._factor = factor

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(self._factor)]

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        if self.batches == self._dies_after:
            raise KeyboardInterrupt
        self.batches += 1
        halves = batch[:, :298, :298].astype(np.float32).reshape(len(batch), 2, 149, 2, 149, 1)
        return halves.mean(axis=(2, 4)) * self._factor


def cached(extractor: Extractor, images: np.ndarray, cache_dir: Path, **changes: object) -> np.ndarray:
    options = {"identity": {"split": "train"}, "views": 0, "seed": 0, "cache_dir": cache_dir, "task": "test"}
    return features.cached(extractor, images, **(options | changes))


def test_features_are_those_of_the_extractor_and_computed_once(images: np.ndarray, tmp_path: Path) -> None:
    found = cached(extractor := Extractor(), images, tmp_path)
    assert (found.shape, found.dtype) == ((1, 70, 2, 2, 1), np.float16)
    np.testing.assert_allclose(found[0, :, 0, 0, 0], images[:, :149, :149].mean(axis=(1, 2, 3)), rtol=1e-3)
    assert extractor.batches == 3
    cached(again := Extractor(), images, tmp_path)
    assert again.batches == 0


@pytest.mark.parametrize(
    "change",
    [{"identity": {"split": "validation"}}, {"views": 2}, {"views": 2, "seed": 1}, {"images": 69}, {"factor": 2.0}],
)
def test_anything_that_decides_features_makes_new_ones(images: np.ndarray, tmp_path: Path, change: dict) -> None:
    cached(Extractor(), images, tmp_path)
    cached(Extractor(), images, tmp_path, views=2, seed=5)
    some, options = (
        images[: change.get("images", 70)],
        {k: v for k, v in change.items() if k not in ("images", "factor")},
    )
    cached(extractor := Extractor(factor=change.get("factor", 1.0)), some, tmp_path, **options)
    assert extractor.batches > 0


def test_views_differ_and_depend_on_the_seed_alone(images: np.ndarray, tmp_path: Path) -> None:
    found = cached(Extractor(), images, tmp_path / "a", views=3, seed=4)
    assert found.shape == (3, 70, 2, 2, 1)
    assert not np.array_equal(found[0], found[1])
    np.testing.assert_array_equal(found, cached(Extractor(), images, tmp_path / "b", views=3, seed=4))


def test_killed_in_the_cache_it_goes_on_where_it_was(images: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(features, "_PIECE", features.BATCH_SIZE)
    expected = cached(whole := Extractor(), images, tmp_path / "whole", views=3, seed=0)
    with pytest.raises(KeyboardInterrupt):
        cached(Extractor(dies_after=4), images, tmp_path / "broken", views=3, seed=0)
    found = cached(rest := Extractor(), images, tmp_path / "broken", views=3, seed=0)
    assert rest.batches == whole.batches - 4
    np.testing.assert_array_equal(found, expected)


def test_features_too_large_for_float16_are_an_error(images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must fit into float16"):
        cached(Extractor(factor=1e6), images, tmp_path)


def test_a_run_folder_is_for_one_command_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="only one command may train")
    with files.exclusive(tmp_path / LOCK, rule="another", remedy=""), refused as error, claimed(tmp_path, {}):
        pass
    assert f"process {os.getpid()}" in str(error.value)  # who holds it
    with claimed(tmp_path, {}):
        pass


def test_a_run_is_continued_with_the_settings_it_began_with(tmp_path: Path) -> None:
    with claimed(tmp_path, {"seed": 0, "backbone": "a"}):
        pass
    with claimed(tmp_path, {"seed": 0, "backbone": "a"}):
        pass
    with (
        pytest.raises(UserError, match=r"seed 0 then, 1 now"),
        claimed(tmp_path, {"seed": 1, "backbone": "a"}),
    ):
        pass


@pytest.fixture(scope="module")
def head() -> loop.Stage:
    """A small stage whose model has dropout and BatchNorm, so that random states and averages matter."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(4),
        ]
    )
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 200, 8)).astype(np.float32)
    labels = inputs[0, :, :4].argmax(axis=1)
    return loop.Stage("head", model, inputs, labels, "none", model, inputs[0], labels, 6, 0.01)


@pytest.mark.parametrize("moving_average", [0.0, 0.9])
def test_stopped_between_epochs_it_ends_with_the_same_weights(
    head: loop.Stage, tmp_path: Path, moving_average: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(TINY, moving_average=moving_average)
    initial = [np.asarray(variable).copy() for variable in head.model.variables]

    def begin() -> None:
        for variable, value in zip(head.model.variables, initial, strict=True):
            variable.assign(value)

    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    rows = loop.fit_stage(head, config, run_dir=tmp_path / "whole")
    expected = head.model.get_weights()

    writes = []
    save = checkpoint.save

    def dying_save(*arguments: object, **options: object) -> None:
        save(*arguments, **options)
        writes.append(1)
        if len(writes) in (2, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", dying_save)
    for _ in range(2):
        begin()
        with pytest.raises(KeyboardInterrupt):
            loop.fit_stage(head, config, run_dir=tmp_path / "broken")
    begin()
    assert loop.fit_stage(head, config, run_dir=tmp_path / "broken") == rows
    for mine, theirs in zip(head.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    begin()
    assert (
        loop.fit_stage(head, config, run_dir=tmp_path / "broken") == rows
    )  # a stage that is over is not trained again
    for mine, theirs in zip(head.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    begin()


def test_kept_are_the_weights_of_the_best_epoch(head: loop.Stage, tmp_path: Path) -> None:
    rows = loop.fit_stage(head, TINY, run_dir=tmp_path)
    scores = head.model.evaluate(
        head.validation_inputs, data.one_hot(head.validation_labels), verbose=0, return_dict=True
    )
    assert scores["macro_f1"] == pytest.approx(max(row["val_macro_f1"] for row in rows), abs=1e-6)


def test_a_loss_that_is_no_number_ends_the_training(head: loop.Stage, tmp_path: Path) -> None:
    broken = dataclasses.replace(head, inputs=np.full_like(head.inputs, np.nan))
    initial = head.model.get_weights()
    with pytest.raises(UserError, match="the loss must be a number, it is nan in epoch 1"):
        loop.fit_stage(broken, TINY, run_dir=tmp_path)
    head.model.set_weights(initial)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"head\.npz is not a checkpoint.*delete it"):
        checkpoint.read(tmp_path / "head.npz")


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_with_the_same_model(data_dir: Path, run_python) -> None:
    """SIGKILL at a random moment, from the first of the cache to the last of the checkpoints."""
    done = run_python("-m", "checks.kill_and_resume", "--data-dir", data_dir, "--kills", "2", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 ended with the same weights" in done.stdout


def test_training_starts_from_another_run(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, weights=str(run_dir))
    model = stages.initial_model(config)
    for mine, theirs in zip(model.get_weights(), Run.open(run_dir).load_model().get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(UserError, match="--backbone must be mobilenet_025"):
        stages.initial_model(dataclasses.replace(config, backbone="resnet50"))


@pytest.mark.parametrize("fine_tune", ["last_stage", "all"])
def test_what_is_saved_is_the_model_alone(images: np.ndarray, tmp_path: Path, fine_tune: str) -> None:
    import keras

    labels = np.arange(len(images)) % 4
    split = splits.split(images, labels)
    config = dataclasses.replace(TINY, image_size=32, fine_tune=fine_tune, moving_average=0.9, fine_tune_epochs=1)
    model = stages.initial_model(config)
    stages.fit_stages(model, config, split, split, identity={}, run_dir=tmp_path, cache_dir=tmp_path)
    assert not model.compiled
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert not again.compiled
    np.testing.assert_array_equal(again.predict_on_batch(images[:8]), model.predict_on_batch(images[:8]))


def test_cached_features_and_tail_together_are_the_model(images: np.ndarray) -> None:
    from cxr_keras3.model import backbones

    model = stages.initial_model(TINY)
    boundary = backbones.boundary(model.get_layer(classifier.BACKBONE), TINY.backbone, "last_two_stages")
    frozen, tail = classifier.divide(model, boundary)
    whole = model.predict_on_batch(images[:4])
    np.testing.assert_allclose(tail.predict_on_batch(frozen.predict_on_batch(images[:4])), whole, atol=1e-5)
