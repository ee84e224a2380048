"""A checkpoint in Hugging Face's form of DINOv2, as RAD-DINO's is, but small and with random weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from scipy.special import erf

from cxr_keras3.base.errors import UserError
from cxr_keras3.model import backbone_table, backbones
from cxr_keras3.model.backbone_table import Backbone
from tests import hub_server

HIDDEN, HEADS, LAYERS, PATCH, SIDE = 24, 3, 2, 14, 42
RADIOGRAPHS = backbone_table.find("rad_dino")
ARGUMENTS = {
    "patch_size": PATCH, "num_layers": LAYERS, "hidden_dim": HIDDEN, "num_heads": HEADS, "intermediate_dim": 4 * HIDDEN
}  # fmt: skip
SMALL = Backbone(
    "keras_hub", "DINOV2Backbone", ARGUMENTS, 0, rescaling=RADIOGRAPHS.rescaling, stage_ends={}, extra_tokens=1
)
CONFIG = {
    "model_type": "dinov2",
    "architectures": ["Dinov2Model"],
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "patch_size": PATCH,
    "image_size": SIDE,
    "mlp_ratio": 4,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "hidden_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
}
SCALING = {"image_mean": [0.5307] * 3, "image_std": [0.2583] * 3, "rescale_factor": 1 / 255}

Weights = dict[str, np.ndarray]


def shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, as transformers writes them."""
    block = {
        **{f"norm{n}.{end}": (HIDDEN,) for n in (1, 2) for end in ("weight", "bias")},
        **{f"attention.attention.{name}.weight": (HIDDEN, HIDDEN) for name in ("query", "key", "value")},
        **{f"attention.attention.{name}.bias": (HIDDEN,) for name in ("query", "key", "value")},
        "attention.output.dense.weight": (HIDDEN, HIDDEN),
        "attention.output.dense.bias": (HIDDEN,),
        "layer_scale1.lambda1": (HIDDEN,),
        "layer_scale2.lambda1": (HIDDEN,),
        "mlp.fc1.weight": (4 * HIDDEN, HIDDEN),
        "mlp.fc1.bias": (4 * HIDDEN,),
        "mlp.fc2.weight": (HIDDEN, 4 * HIDDEN),
        "mlp.fc2.bias": (HIDDEN,),
    }
    return {
        "embeddings.cls_token": (1, 1, HIDDEN),
        "embeddings.mask_token": (1, HIDDEN),
        "embeddings.position_embeddings": (1, (SIDE // PATCH) ** 2 + 1, HIDDEN),
        "embeddings.patch_embeddings.projection.weight": (HIDDEN, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (HIDDEN,),
        **{f"encoder.layer.{i}.{name}": shape for i in range(LAYERS) for name, shape in block.items()},
        "layernorm.weight": (HIDDEN,),
        "layernorm.bias": (HIDDEN,),
    }


def forward(weights: Weights, images: np.ndarray) -> np.ndarray:
    """The patches' tokens (B, h, w, C) of images (B, SIDE, SIDE, 3), by DINOv2 (Oquab et al., 2023)."""
    across = SIDE // PATCH

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(x: np.ndarray, name: str) -> np.ndarray:
        query, key, value = (
            linear(x, f"{name}.attention.{each}").reshape(len(x), -1, HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)
            for each in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 1, 3, 2) / np.sqrt(HIDDEN // HEADS))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        return linear(mixed.transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.output.dense")

    def perceptron(x: np.ndarray, name: str) -> np.ndarray:
        inner = linear(x, f"{name}.fc1")
        return linear(inner * (1 + erf(inner / np.sqrt(2))) / 2, f"{name}.fc2")

    patches = images.reshape(-1, across, PATCH, across, PATCH, 3)
    kernel = weights["embeddings.patch_embeddings.projection.weight"]
    tokens = np.einsum("bhpwqc,dcpq->bhwd", patches, kernel).reshape(len(images), -1, HIDDEN)
    tokens = tokens + weights["embeddings.patch_embeddings.projection.bias"]
    first = np.repeat(weights["embeddings.cls_token"], len(images), axis=0)
    x = np.concatenate([first, tokens], axis=1) + weights["embeddings.position_embeddings"]
    for index in range(LAYERS):
        name = f"encoder.layer.{index}"
        x = x + weights[f"{name}.layer_scale1.lambda1"] * attention(normalised(x, f"{name}.norm1"), f"{name}.attention")
        x = x + weights[f"{name}.layer_scale2.lambda1"] * perceptron(normalised(x, f"{name}.norm2"), f"{name}.mlp")
    return normalised(x, "layernorm")[:, 1:].reshape(len(images), across, across, HIDDEN)


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Weights:
    monkeypatch.setitem(backbone_table.BACKBONES, "small_dinov2", SMALL)
    generator = np.random.default_rng(5)
    return {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes().items()}


@pytest.fixture
def checkpoint(weights: Weights, tmp_path: Path) -> Path:
    pytest.importorskip("keras_hub", reason="the extra hub is not installed")
    from safetensors.numpy import save_file

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(SCALING))
    return folder


def require_same_function(handle: str, weights: Weights) -> None:
    images = np.random.default_rng(1).normal(0, 1, (3, SIDE, SIDE, 3)).astype(np.float32)
    model = backbones.build_backbone("small_dinov2", weights=handle, image_size=SIDE)
    expected = forward(weights, images)
    assert expected.std() > 0.1
    np.testing.assert_allclose(np.asarray(model.predict_on_batch(images)), expected, atol=1e-4)


@pytest.mark.slow
def test_keras_hub_computes_what_the_checkpoint_s_equations_do(checkpoint: Path, weights: Weights) -> None:
    require_same_function(str(checkpoint), weights)
    stated = SCALING | {"image_mean": [0.485, 0.456, 0.406]}
    (checkpoint / "preprocessor_config.json").write_text(json.dumps(stated))
    with pytest.raises(UserError, match="want pixels scaled by"):
        backbones.build_backbone("small_dinov2", weights=str(checkpoint), image_size=SIDE)
    (checkpoint / "preprocessor_config.json").write_text(json.dumps(SCALING))
    (checkpoint / "config.json").write_text(json.dumps(CONFIG | {"num_attention_heads": 2}))
    with pytest.raises(UserError, match="must be of"):
        backbones.build_backbone("small_dinov2", weights=str(checkpoint), image_size=SIDE)


@pytest.mark.slow
def test_keras_hub_fetches_it_from_the_hub(
    checkpoint: Path, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with hub_server.serving() as server:
        server.repositories["someone/small"] = hub_server.Repository()
        server.repositories["someone/small"].commit({path.name: path.read_bytes() for path in checkpoint.iterdir()})
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        address = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        require_same_function("hf://someone/small", weights)


@pytest.mark.slow
def test_keras_hub_s_checkpoint_gets_a_head_on_its_cached_features(
    checkpoint: Path, data_dir: Path, tmp_path: Path
) -> None:
    from cxr_keras3.run.folder import HISTORY, Run
    from cxr_keras3.training import runs
    from cxr_keras3.training.config import TrainingConfig
    from tfds_cxr import reading

    config = TrainingConfig(
        backbone="small_dinov2", weights=str(checkpoint), image_size=SIDE, head_epochs=30, fine_tune="none"
    )
    runs.train(config, builder=reading.find(data_dir), run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")
    kept = [np.load(path, mmap_mode="r") for path in (tmp_path / "cache").rglob("features.npy")]
    assert {features.shape[-1] for features in kept} == {HIDDEN}
    run = Run.open(tmp_path / "run")
    with (run.folder / HISTORY).open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
    logits = run.load_model().predict_on_batch(np.zeros((1, 299, 299, 1), np.uint8))
    assert np.asarray(logits).shape == (1, 4)
