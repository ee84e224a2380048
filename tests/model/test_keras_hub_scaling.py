"""How weights from elsewhere want pixels scaled; KerasHub itself is not needed for it."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from cxr_keras3.base.errors import UserError
from cxr_keras3.model import backbone_table, keras_hub

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
OTHER = {"image_mean": [0.53] * 3, "image_std": [0.26] * 3}


def checkpoint(folder: Path, stated: dict[str, object]) -> str:
    """A folder in the form of Hugging Face's, of which KerasHub makes no ImageConverter."""
    (folder / keras_hub.PREPROCESSOR).write_text(json.dumps(stated))
    return str(folder)


def test_a_checkpoint_without_converter_says_it_in_its_own_file(tmp_path: Path) -> None:
    row = backbone_table.find("dinov2_small")
    preset = checkpoint(tmp_path, IMAGENET)
    keras_hub._require_same_scaling(row, keras_hub._scaling(None, preset), preset)
    preset = checkpoint(tmp_path, OTHER)
    with pytest.raises(UserError, match="want pixels scaled"):
        keras_hub._require_same_scaling(row, keras_hub._scaling(None, preset), preset)


def test_a_handle_s_file_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = checkpoint(tmp_path, OTHER)
    asked = []

    def download(*names: str) -> str:
        asked.append(names)
        return str(Path(preset) / keras_hub.PREPROCESSOR)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    scale, offset = keras_hub._scaling(None, "hf://microsoft/rad-dino")
    assert asked == [("microsoft/rad-dino", keras_hub.PREPROCESSOR)]
    assert scale.tolist() == pytest.approx([1 / 255 / 0.26] * 3)
    assert offset.tolist() == pytest.approx([-0.53 / 0.26] * 3)


def test_one_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must say how they want pixels scaled"):
        keras_hub._scaling(None, str(tmp_path))


def test_a_converter_is_believed() -> None:
    row = dataclasses.replace(backbone_table.find("dinov2_small"), rescaling=None)
    keras_hub._require_same_scaling(row, keras_hub._scaling(SimpleNamespace(scale=None, offset=None), "x"), "x")
