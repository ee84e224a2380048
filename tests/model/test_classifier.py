"""The classifier's graph: its contract, its preprocessing, its exact activation map, its file."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy

from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.model import classifier


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return classifier.build_classifier(
        "mobilenet_025", weights="none", image_size=64, class_count=4, dropout=0.5, seed=0
    )


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.uint8)


def test_takes_canonical_images_and_gives_logits(model: keras.Model, batch: np.ndarray) -> None:
    assert model.input_shape == (None, IMAGE_SIZE, IMAGE_SIZE, 1)
    assert model.input.dtype == "uint8"
    logits = convert_to_numpy(model(batch))
    assert logits.shape == (3, 4)
    assert logits.dtype == np.float32


def test_an_image_scores_the_same_alone_and_in_a_batch(model: keras.Model, batch: np.ndarray) -> None:
    alone = np.concatenate([convert_to_numpy(model(batch[i : i + 1])) for i in range(3)])
    np.testing.assert_allclose(convert_to_numpy(model(batch)), alone, atol=1e-5)


def test_calling_the_model_changes_nothing_in_it(model: keras.Model, batch: np.ndarray) -> None:
    before = model.get_weights()
    called = convert_to_numpy(model(batch))
    np.testing.assert_allclose(called, np.asarray(model.predict_on_batch(batch)), atol=1e-5)
    for earlier, later in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(earlier, later)


def test_preprocessing_gives_three_equal_channels_in_the_range_of_the_weights(
    model: keras.Model, batch: np.ndarray
) -> None:
    black, white = np.zeros_like(batch[:1]), np.full_like(batch[:1], 255)
    prepared = convert_to_numpy(model.get_layer(classifier.PREPROCESSING)(np.concatenate([black, white])))
    assert prepared.shape == (2, 64, 64, 3)
    np.testing.assert_allclose(prepared[0], -1.0, atol=1e-6)
    np.testing.assert_allclose(prepared[1], 1.0, atol=1e-6)


def test_mean_of_the_activation_map_and_bias_is_the_logit(model: keras.Model, batch: np.ndarray) -> None:
    logits, maps = classifier.explainer(model)(batch)
    bias = convert_to_numpy(model.get_layer(classifier.LOGITS).bias)
    np.testing.assert_allclose(convert_to_numpy(maps).mean(axis=(1, 2)) + bias, convert_to_numpy(logits), atol=1e-5)
    np.testing.assert_allclose(convert_to_numpy(logits), convert_to_numpy(model(batch)), atol=1e-6)


def test_saved_model_gives_the_same_logits_without_this_package(
    model: keras.Model, batch: np.ndarray, tmp_path: Path, run_python
) -> None:
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "batch.npy", batch)
    np.save(tmp_path / "logits.npy", convert_to_numpy(model(batch)))
    code = (
        "import sys, numpy as np, keras, pathlib; here = pathlib.Path(__file__).parent;"
        "logits = keras.models.load_model(here / 'model.keras')(np.load(here / 'batch.npy'));"
        "assert not any(name.startswith('cxr_keras3') for name in sys.modules);"
        "np.testing.assert_allclose(keras.ops.convert_to_numpy(logits), np.load(here / 'logits.npy'), atol=1e-4)"
    )
    (tmp_path / "check.py").write_text(code)
    for backend in filter(importlib.util.find_spec, ("jax", "tensorflow", "torch")):
        done = run_python(tmp_path / "check.py", KERAS_BACKEND=backend)
        assert done.returncode == 0, done.stderr


def test_the_seed_decides_the_head(model: keras.Model) -> None:
    def kernel(seed: int) -> np.ndarray:
        built = classifier.build_classifier(
            "mobilenet_025", weights="none", image_size=64, class_count=4, dropout=0.0, seed=seed
        )
        return convert_to_numpy(built.get_layer(classifier.LOGITS).kernel)

    np.testing.assert_array_equal(kernel(0), kernel(0))
    assert not np.array_equal(kernel(0), kernel(1))
