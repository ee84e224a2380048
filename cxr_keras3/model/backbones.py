"""Builds a backbone, gives it its weights, and divides it for fine-tuning.

This is the only module that imports KerasCV, whose development has ended: the day it has to be
replaced only this file and the table change. KerasHub is in `_keras_hub.py`.
"""

import warnings
from pathlib import Path
from typing import Any

import keras

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError
from cxr_keras3.model import keras_hub
from cxr_keras3.model.backbone_table import Backbone, FineTune, find


def build_backbone(name: str, *, weights: str, image_size: int) -> keras.Model:
    """Builds a backbone.

    Args:
        name: A key of `cxr_keras3.model.backbone_table.BACKBONES`.
        weights: "none" for random weights; "imagenet" for the provider's, downloaded or from its cache;
            a path: a preset folder, or a `.h5` or `.weights.h5` file of this backbone; or, for KerasHub's, the
            handle of a preset or of a checkpoint that it converts, such as `hf://timm/resnet18.a1_in1k`.
        image_size: Height and width of the input, in pixels.

    Returns:
        A model from float32 (B, image_size, image_size, 3) to the last feature map (B, h, w, C), named
        "backbone".

    Raises:
        UserError: Where the backbone is unknown, or its weights cannot be had or do not fit.
    """
    row = find(name)
    shape = (image_size, image_size, 3)
    if row.extra_tokens is not None and image_size % row.patch:
        raise UserError(
            f"the image size of {name} must be a multiple of its patches of {row.patch} pixels, received {image_size}"
        )
    if weights == "imagenet" and row.provider == "keras_cv" and not row.preset:
        raise UserError(
            f"KerasCV publishes no weights of {name}; see tools/efficientnet_lite_weights.py for how to make a "
            "file of them, and pass it as --weights"
        )
    from_preset = row.provider == "keras_hub" and ("://" in weights or Path(weights).is_dir())
    if weights == "imagenet" or from_preset:
        return _with_published_weights(name, row, shape, preset=weights if from_preset else row.preset)
    if weights != "none" and not Path(weights).exists():
        raise UserError(f"weights must be imagenet, reference, none or an existing path, received {weights!r}")
    model = _untrained(row, shape)
    if weights != "none":
        _load_weights(model, name, Path(weights))
    return model


def _untrained(row: Backbone, shape: tuple[int, int, int]) -> keras.Model:
    if row.provider == "keras_cv":
        return _keras_cv_class(row)(
            include_rescaling=row.rescaling is None, input_shape=shape, name="backbone", **row.arguments
        )
    if row.provider == "keras_hub":
        return keras_hub.build_backbone(row, shape)
    constructor = getattr(keras.applications, row.constructor)
    return constructor(input_shape=shape, weights=None, name="backbone", **row.arguments)


def _keras_cv_class(row: Backbone) -> Any:  # noqa: ANN401 -- KerasCV ships no types
    import_keras_cv()
    import keras_cv  # noqa: PLC0415 -- brings TensorFlow and takes seconds; only for its own rows

    return getattr(keras_cv.models, row.constructor)


def import_keras_cv() -> None:
    """Imports KerasCV, which registers its layers for loading, and hides accelerators from its TensorFlow."""
    selection.keep_tensorflow_off_accelerators()
    import keras_cv  # noqa: F401, PLC0415 -- brings TensorFlow and takes seconds


def import_provider(name: str) -> None:
    """Imports the library of a backbone, whose layers a saved model needs."""
    provider = find(name).provider
    if provider == "keras_cv":
        import_keras_cv()
    elif provider == "keras_hub":
        keras_hub.library()


def _with_published_weights(name: str, row: Backbone, shape: tuple[int, int, int], *, preset: str) -> keras.Model:
    try:
        if row.provider == "keras_cv":
            return _keras_cv_class(row).from_preset(preset, input_shape=shape, include_rescaling=True, name="backbone")
        if row.provider == "keras_hub":
            return keras_hub.build_backbone(row, shape, preset=preset)
        constructor = getattr(keras.applications, row.constructor)
        return constructor(input_shape=shape, weights="imagenet", name="backbone", **row.arguments)
    except UserError:
        raise
    except Exception as error:  # Keras and kagglehub raise plain Exceptions for a failed download
        raise UserError(
            f"the weights {preset or 'imagenet'} of {name} could not be had from {row.provider} "
            f"({type(error).__name__}: {error}); connect to the internet once, or pass --weights PATH to a "
            "file of this backbone, or --weights none to start untrained"
        ) from error


def _load_weights(model: keras.Model, name: str, path: Path) -> None:
    file = path / "model.weights.h5" if path.is_dir() else path  # a KerasCV preset folder holds this file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns where it leaves weights random
            model.load_weights(file)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise UserError(
            f"the file {file} does not hold the weights of {name} ({error}); "
            f"pass weights saved from the same backbone without its classifier"
        ) from error


def boundary(model: keras.Model, name: str, fine_tune: FineTune) -> keras.Layer:
    """The last frozen layer where fine-tuning begins after a stage.

    Args:
        model: A backbone from `build`.
        name: Its key in `cxr_keras3.model.backbone_table.BACKBONES`.
        fine_tune: "last_stage" or "last_two_stages". A stage begins where the map is halved, and all that
            follows depends on the map before it alone.
    """
    row = find(name)
    if row.stage_ends == {}:
        raise UserError(f"{name} has no stages, so --fine-tune must be none or all, received {fine_tune}")
    ends = row.stage_ends if row.stage_ends is not None else model.pyramid_level_inputs
    return model.get_layer(ends["P4" if fine_tune == "last_stage" else "P3"])


def split_at_tail(model: keras.Model, name: str, fine_tune: FineTune) -> tuple[list[Any], list[Any]]:
    """Divides a backbone's layers into those that stay frozen and those that are trained.

    Args:
        model: A backbone from `build`.
        name: Its key in `cxr_keras3.model.backbone_table.BACKBONES`.
        fine_tune: Where training begins, see `cxr_keras3.model.backbone_table.FineTune`.

    Returns:
        The frozen layers and the trained layers, both in the order of the graph.
    """
    layers = list(model.layers)
    if fine_tune == "none":
        return layers, []
    if fine_tune == "all":
        return [], layers
    last_frozen = boundary(model, name, fine_tune)
    tail = {id(layer) for layer in keras.Model(last_frozen.output, model.output).layers}
    return [layer for layer in layers if id(layer) not in tail], [layer for layer in layers if id(layer) in tail]
