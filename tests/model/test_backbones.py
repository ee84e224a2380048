"""Every row of the table builds without a network and can be frozen where it says."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.model import backbones
from cxr_keras3.model.backbone_table import BACKBONES

SIZE = 64


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return backbones.build_backbone("mobilenet_025", weights="none", image_size=SIZE)


QUICK = {"mobilenet_025", "mobilenet_v3_small", "efficientnet_lite0"}
"""Built in every run of the tests; the others, which take up to a minute each to compile, with the slow ones."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name, row in BACKBONES.items()
        if row.provider != "keras_hub"
    ],
)
def test_every_row_builds_untrained_and_runs_and_divides(name: str) -> None:
    model = backbones.build_backbone(name, weights="none", image_size=SIZE)
    assert model.count_params() == BACKBONES[name].parameters
    features = np.asarray(model.predict_on_batch(np.full((1, SIZE, SIZE, 3), 128.0, dtype=np.float32)))
    assert features.shape == (1, SIZE // 32, SIZE // 32, model.output_shape[-1])
    assert np.isfinite(features).all()
    last = [layer.name for layer in backbones.split_at_tail(model, name, "last_stage")[1]]
    last_two = [layer.name for layer in backbones.split_at_tail(model, name, "last_two_stages")[1]]
    everything = [layer.name for layer in model.layers]
    assert 0 < len(last) < len(last_two) < len(everything)
    assert set(last) < set(last_two)
    assert everything[-1] in last
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.provider == "keras_hub"])
def test_keras_hub_s_rows_build_untrained_run_divide_and_are_saved(name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras_hub", reason="the extra hub is not installed")
    model = backbones.build_backbone(name, weights="none", image_size=224)
    assert model.count_params() == BACKBONES[name].parameters
    images = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    features = np.asarray(model.predict_on_batch(images))
    assert features.ndim == 4
    assert features.shape == (2, *model.output_shape[1:])
    assert np.isfinite(features).all()
    model.save(tmp_path / "backbone.keras")
    again = keras.models.load_model(tmp_path / "backbone.keras")
    np.testing.assert_allclose(np.asarray(again.predict_on_batch(images)), features, atol=1e-5)
    if BACKBONES[name].stage_ends:
        frozen, tail = backbones.split_at_tail(model, name, "last_stage")
        assert 0 < len(tail) < len(frozen)
    else:
        with pytest.raises(UserError, match="has no stages, so --fine-tune must be none or all"):
            backbones.split_at_tail(model, name, "last_stage")
        with pytest.raises(UserError, match="must be a multiple of its patches"):
            backbones.build_backbone(name, weights="none", image_size=225)
    keras.backend.clear_session()


@pytest.mark.slow
def test_keras_hub_s_preset_folder_loads_and_another_architecture_s_is_refused(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub", reason="the extra hub is not installed")
    row = BACKBONES["resnet18"]
    published = hub.models.ResNetBackbone(image_shape=(SIZE, SIZE, 3), **row.arguments)
    published.save_to_preset(tmp_path / "resnet18")
    scale, offset = row.rescaling
    hub.layers.ImageConverter(scale=scale, offset=offset).save_to_preset(tmp_path / "resnet18")
    model = backbones.build_backbone("resnet18", weights=str(tmp_path / "resnet18"), image_size=SIZE)
    for mine, theirs in zip(model.get_weights(), published.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    hub.layers.ImageConverter(scale=1 / 127.5, offset=-1.0).save_to_preset(tmp_path / "resnet18")
    with pytest.raises(UserError, match="want pixels scaled by"):
        backbones.build_backbone("resnet18", weights=str(tmp_path / "resnet18"), image_size=SIZE)


def test_none_and_all_are_the_whole(small: keras.Model) -> None:
    assert backbones.split_at_tail(small, "mobilenet_025", "none") == (small.layers, [])
    assert backbones.split_at_tail(small, "mobilenet_025", "all") == ([], small.layers)


def test_weights_file_round_trip(small: keras.Model, tmp_path: Path) -> None:
    small.save_weights(tmp_path / "backbone.weights.h5")
    again = backbones.build_backbone("mobilenet_025", weights=str(tmp_path / "backbone.weights.h5"), image_size=SIZE)
    for mine, theirs in zip(small.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    other = keras.applications.MobileNet(alpha=0.5, include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UserError, match=r"does not hold the weights of mobilenet_025"):
        backbones.build_backbone("mobilenet_025", weights=str(tmp_path / "other.weights.h5"), image_size=SIZE)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wrong.h5").write_text("not HDF5")
    with pytest.raises(UserError, match=r"does not hold the weights"):
        backbones.build_backbone("mobilenet_025", weights=str(tmp_path / "wrong.h5"), image_size=SIZE)


def test_a_missing_path_is_named() -> None:
    with pytest.raises(UserError, match=r"weights must be imagenet, reference, none or an existing path.*nowhere"):
        backbones.build_backbone("mobilenet_025", weights="nowhere.h5", image_size=SIZE)


def test_imagenet_loads_from_a_seeded_cache(tmp_path: Path, run_python) -> None:
    """The layout of kagglehub's cache, filled by hand as one would on an isolated machine."""
    from keras_cv.src.utils.preset_utils import save_to_preset

    model = backbones.build_backbone("mobilenet_v3_small", weights="none", image_size=SIZE)
    variant = tmp_path / "models" / "keras" / "mobilenetv3" / "keras" / "mobilenet_v3_small_imagenet"
    save_to_preset(model, variant / "2")
    marks = variant / ".complete" / "2"
    marks.mkdir(parents=True)
    for file in ("config.json", "model.weights.h5"):
        (marks / f"{file}.complete").touch()
    model.save_weights(tmp_path / "expected.weights.h5")
    code = (
        "import sys, numpy as np; from cxr_keras3.backend import selection; selection.select('jax');"
        "from cxr_keras3.model import backbones;"
        f"a = backbones.build_backbone('mobilenet_v3_small', weights='imagenet', image_size={SIZE});"
        f"b = backbones.build_backbone('mobilenet_v3_small', weights={str(tmp_path / 'expected.weights.h5')!r},"
        f" image_size={SIZE});"
        "assert all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))"
    )
    (tmp_path / "check.py").write_text(code)
    done = run_python(tmp_path / "check.py", KAGGLEHUB_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.shared_data
def test_real_imagenet_weights_load_whole(shared_data: Path) -> None:
    file = shared_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    model = backbones.build_backbone("mobilenet_025", weights=str(file), image_size=SIZE)
    untrained = backbones.build_backbone("mobilenet_025", weights="none", image_size=SIZE)
    unchanged = [
        variable.path
        for variable, other in zip(model.weights, untrained.weights, strict=True)
        if np.array_equal(variable, other)
    ]
    assert unchanged == []
