"""KerasHub's backbones as models from an image to a feature map. The extra `hub` installs it."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError
from cxr_keras3.model.backbone_table import Backbone

PREPROCESSOR = "preprocessor_config.json"
"""Where Hugging Face's checkpoints say how pixels are scaled."""


def library() -> Any:  # noqa: ANN401 -- KerasHub ships no types
    """Imports KerasHub, which registers its layers for loading, and hides accelerators from its TensorFlow.

    Raises:
        UserError: Where it is not installed.
    """
    selection.keep_tensorflow_off_accelerators()
    try:
        import keras_hub  # noqa: PLC0415 -- an extra, and seconds
    except ImportError as error:
        raise UserError(
            "this backbone is KerasHub's, which is not installed; python -m pip install 'cxr_keras3[hub]'"
        ) from error
    return keras_hub


def build_backbone(row: Backbone, shape: tuple[int, int, int], *, preset: str = "") -> keras.Model:
    """Builds a backbone of KerasHub's.

    Args:
        row: Its row of the table.
        shape: Of the input: height, width, 3.
        preset: Name, folder or handle of its weights; empty for random ones.

    Returns:
        A model named "backbone", from float32 (B, height, width, 3) to the last feature map (B, h, w, C).

    Raises:
        UserError: Where the preset is of another architecture, or wants its input scaled otherwise.
    """
    hub = library()
    constructor = getattr(hub.models, row.constructor)
    if preset:
        model = constructor.from_preset(preset, image_shape=shape)
        _require_same_scaling(row, _scaling(hub.layers.ImageConverter.from_preset(preset), preset), preset)
    else:
        model = constructor(image_shape=shape, **row.arguments)
    expected = {key: model.get_config()[key] for key in row.arguments}
    if expected != dict(row.arguments):
        raise UserError(f"the weights {preset} must be of {dict(row.arguments)}, they are of {expected}")
    if row.extra_tokens is None:
        return keras.Model(model.input, model.output, name="backbone")
    # As one layer: some of ViT's own cannot be made again from what they say of themselves (KerasHub 0.32).
    images = keras.Input(shape)
    tokens = model({"images": images} if isinstance(model.input, dict) else images)
    return keras.Model(images, _as_map(tokens, row, shape), name="backbone")


def _as_map(tokens: Any, row: Backbone, shape: tuple[int, int, int]) -> Any:  # noqa: ANN401 -- symbolic tensors
    """The patches' tokens (B, T, C), in rows and columns as the patches lie."""
    patches = keras.layers.Cropping1D((row.extra_tokens or 0, 0))(tokens)
    return keras.layers.Reshape((shape[0] // row.patch, shape[1] // row.patch, tokens.shape[-1]))(patches)


def _scaling(converter: Any, preset: str) -> tuple[Any, Any]:  # noqa: ANN401 -- KerasHub ships no types
    """What a preset multiplies pixels of 0..255 with and then adds, a number or one for each channel.

    Args:
        converter: Its ImageConverter; None where KerasHub makes none, as of Hugging Face's checkpoints of DINOv2.
        preset: The preset, whose `PREPROCESSOR` says it then.

    Raises:
        UserError: Where neither says it.
    """
    if converter is not None:
        return (
            1.0 if converter.scale is None else converter.scale,
            0.0 if converter.offset is None else converter.offset,
        )
    try:
        stated = json.loads(_file(preset).read_text(encoding="utf-8"))
        mean, deviation = np.array(stated["image_mean"]), np.array(stated["image_std"])
        return stated.get("rescale_factor", 1 / 255) / deviation, -mean / deviation
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the weights {preset} must say how they want pixels scaled, {PREPROCESSOR} cannot be read ({error})"
        ) from error


def _file(preset: str) -> Path:
    """The `PREPROCESSOR` of a folder, or of a repository on Hugging Face."""
    if not preset.startswith("hf://"):
        return Path(preset) / PREPROCESSOR
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 -- only here

    return Path(hf_hub_download(preset.removeprefix("hf://"), PREPROCESSOR))


def _require_same_scaling(row: Backbone, found: tuple[Any, Any], preset: str) -> None:
    scale, offset = row.rescaling or (1.0, 0.0)
    if not all(np.allclose(mine, theirs, rtol=1e-3) for mine, theirs in zip((scale, offset), found, strict=True)):
        raise UserError(
            f"the weights {preset} want pixels scaled by {found}, this backbone's preprocessing scales them by "
            f"{(scale, offset)}; use weights that were trained on the latter"
        )
