"""The backbones one can choose, as a table of data.

KerasCV's alias classes and `from_preset` fetch a configuration from Kaggle even for untrained models,
so each row states the architecture's own arguments and `cxr_keras3.model.backbones` calls plain constructors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cxr_keras3.base.errors import UserError

Provider = Literal["keras_cv", "keras.applications", "keras_hub"]
Scale = float | tuple[float, float, float]
"""One number, or one a channel."""

FineTune = Literal["none", "last_stage", "last_two_stages", "all"]
"""How much of a backbone is trained after the head; a stage begins where the feature map is halved."""


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    Attributes:
        provider: The library that holds the architecture and its weights.
        constructor: The name of the class or function in that library.
        arguments: What the constructor is called with.
        parameters: The number of weights without a classifier, at 224 x 224 where it depends on the size.
        preset: KerasCV's or KerasHub's name of the weights; empty where the constructor loads them itself.
        rescaling: Scale and offset that take pixels of 0..255 to the range the ImageNet weights were
            trained on; None where the backbone's own graph does it.
        stage_ends: Layer whose output is the last feature map at a stride of 8 (P3) and of 16 (P4); None
            where the built model says so itself, as KerasCV's do; empty where there are no stages.
        extra_tokens: For a transformer, how many of its tokens come before those of the image's patches.
        weights_licence: The terms of the ImageNet weights.
    """

    provider: Provider
    constructor: str
    arguments: Mapping[str, Any]
    parameters: int
    preset: str = ""
    rescaling: tuple[Scale, Scale] | None = None
    stage_ends: Mapping[str, str] | None = None
    extra_tokens: int | None = None
    weights_licence: str = "Apache-2.0"

    @property
    def patch(self) -> int:
        """Height and width in pixels of a transformer's patches."""
        patch = self.arguments["patch_size"]  # KerasHub's ViT states both sides, its DINOv2 one
        return max(patch) if isinstance(patch, tuple) else int(patch)

    @property
    def input_range(self) -> str:
        """The range of values that the ImageNet weights were trained on, for people."""
        if self.rescaling is None:
            return "0..1, in the backbone"
        scale, offset = self.rescaling
        if isinstance(scale, tuple) or isinstance(offset, tuple):
            return "ImageNet mean 0, deviation 1, in the preprocessing"
        return f"{offset:.4g}..{255 * scale + offset:.4g}, in the preprocessing"


_EFFICIENTNET_V2_B0 = {
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "stackwise_kernel_sizes": [3] * 6,
    "stackwise_num_repeats": [1, 2, 2, 3, 5, 8],
    "stackwise_input_filters": [32, 16, 32, 48, 96, 112],
    "stackwise_output_filters": [16, 32, 48, 96, 112, 192],
    "stackwise_expansion_ratios": [1, 4, 4, 4, 6, 6],
    "stackwise_squeeze_and_excite_ratios": [0.0, 0.0, 0.0, 0.25, 0.25, 0.25],
    "stackwise_strides": [1, 2, 2, 2, 1, 2],
    "stackwise_conv_types": ["fused"] * 3 + ["unfused"] * 3,
}
_EFFICIENTNET_V2_S = _EFFICIENTNET_V2_B0 | {
    "stackwise_num_repeats": [2, 4, 4, 6, 9, 15],
    "stackwise_input_filters": [24, 24, 48, 64, 128, 160],
    "stackwise_output_filters": [24, 48, 64, 128, 160, 256],
}
_EFFICIENTNET_LITE0 = {
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
    "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
    "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
    "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
    "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
}
_RESNET50 = {
    "stackwise_filters": [64, 128, 256, 512],
    "stackwise_blocks": [3, 4, 6, 3],
    "stackwise_strides": [1, 2, 2, 2],
    "block_type": "block",
}
_MOBILENET_V3_SMALL = {
    "stackwise_expansion": [1, 72 / 16, 88 / 24, 4, 6, 6, 3, 3, 6, 6, 6],
    "stackwise_filters": [16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96],
    "stackwise_kernel_size": [3] * 3 + [5] * 8,
    "stackwise_stride": [2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1],
    "stackwise_se_ratio": [0.25, None, None] + [0.25] * 8,
    "stackwise_activation": ["relu"] * 3 + ["hard_swish"] * 8,
}
_MOBILENET_V3_LARGE = {
    "stackwise_expansion": [1, 4, 3, 3, 3, 3, 6, 2.5, 2.3, 2.3, 6, 6, 6, 6, 6],
    "stackwise_filters": [16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160],
    "stackwise_kernel_size": [3, 3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5],
    "stackwise_stride": [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1],
    "stackwise_se_ratio": [None] * 3 + [0.25] * 3 + [None] * 4 + [0.25] * 5,
    "stackwise_activation": ["relu"] * 6 + ["hard_swish"] * 9,
}


# Mean and standard deviation of ImageNet's channels, as all who normalise by them use them.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STANDARDISED: tuple[Scale, Scale] = (
    tuple(1 / (255 * deviation) for deviation in _DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)),
)  # type: ignore[assignment]  # three of each
_FILMS_MEAN, _FILMS_DEVIATION = 0.5307, 0.2583  # RAD-DINO's; its own file is held against them
_VIT_BASE_14 = {"patch_size": 14, "num_layers": 12, "hidden_dim": 768, "num_heads": 12, "intermediate_dim": 3072}


def _keras_cv(constructor: str, arguments: Mapping[str, Any], parameters: int, preset: str) -> Backbone:
    return Backbone("keras_cv", constructor, arguments, parameters, preset)


BACKBONES: Mapping[str, Backbone] = {
    "efficientnet_v2_b0": _keras_cv(
        "EfficientNetV2Backbone", _EFFICIENTNET_V2_B0, 5_919_312, "efficientnetv2_b0_imagenet"
    ),
    "efficientnet_v2_b1": _keras_cv(
        "EfficientNetV2Backbone",
        _EFFICIENTNET_V2_B0 | {"depth_coefficient": 1.1},
        6_931_124,
        "efficientnetv2_b1_imagenet",
    ),
    "efficientnet_v2_b2": _keras_cv(
        "EfficientNetV2Backbone",
        _EFFICIENTNET_V2_B0 | {"width_coefficient": 1.1, "depth_coefficient": 1.2},
        8_769_374,
        "efficientnetv2_b2_imagenet",
    ),
    "efficientnet_v2_s": _keras_cv(
        "EfficientNetV2Backbone", _EFFICIENTNET_V2_S, 20_331_360, "efficientnetv2_s_imagenet"
    ),
    "efficientnet_lite0": Backbone(
        "keras_cv",
        "EfficientNetLiteBackbone",
        _EFFICIENTNET_LITE0,
        3_413_024,
        rescaling=(1 / 128, -127 / 128),
    ),
    "densenet121": _keras_cv(
        "DenseNetBackbone", {"stackwise_num_repeats": [6, 12, 24, 16]}, 7_037_504, "densenet121_imagenet"
    ),
    "densenet169": _keras_cv(
        "DenseNetBackbone", {"stackwise_num_repeats": [6, 12, 32, 32]}, 12_642_880, "densenet169_imagenet"
    ),
    "densenet201": _keras_cv(
        "DenseNetBackbone", {"stackwise_num_repeats": [6, 12, 48, 32]}, 18_321_984, "densenet201_imagenet"
    ),
    "resnet50": _keras_cv("ResNetBackbone", _RESNET50, 23_561_152, "resnet50_imagenet"),
    "resnet50_v2": _keras_cv("ResNetV2Backbone", _RESNET50, 23_564_800, "resnet50_v2_imagenet"),
    "mobilenet_v3_small": _keras_cv("MobileNetV3Backbone", _MOBILENET_V3_SMALL, 939_120, "mobilenet_v3_small_imagenet"),
    "mobilenet_v3_large": _keras_cv(
        "MobileNetV3Backbone", _MOBILENET_V3_LARGE, 2_996_352, "mobilenet_v3_large_imagenet"
    ),
    "mobilenet_025": Backbone(
        "keras.applications",
        "MobileNet",
        {"alpha": 0.25, "include_top": False},
        218_544,
        rescaling=(1 / 127.5, -1.0),
        stage_ends={"P3": "conv_pw_5_relu", "P4": "conv_pw_11_relu"},
    ),
    "resnet18": Backbone(
        "keras_hub",
        "ResNetBackbone",
        {
            "input_conv_filters": [64],
            "input_conv_kernel_sizes": [7],
            "stackwise_num_filters": [64, 128, 256, 512],
            "stackwise_num_blocks": [2, 2, 2, 2],
            "stackwise_num_strides": [1, 2, 2, 2],
            "block_type": "basic_block",
        },
        11_186_112,
        preset="resnet_18_imagenet",
        rescaling=_STANDARDISED,
        stage_ends={"P3": "stack1_block1_out", "P4": "stack2_block1_out"},
    ),
    "vit_base": Backbone(
        "keras_hub",
        "ViTBackbone",
        {"patch_size": (16, 16), "num_layers": 12, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072},
        85_798_656,
        preset="vit_base_patch16_224_imagenet",
        rescaling=(1 / 127.5, -1.0),
        stage_ends={},
        extra_tokens=1,
    ),
    "dinov2_small": Backbone(
        "keras_hub",
        "DINOV2Backbone",
        {"patch_size": 14, "num_layers": 12, "hidden_dim": 384, "num_heads": 6, "intermediate_dim": 1536},
        22_155_264,
        preset="dinov2_small",
        rescaling=_STANDARDISED,
        stage_ends={},
        extra_tokens=1,
    ),
    "dinov2_base": Backbone(
        "keras_hub",
        "DINOV2Backbone",
        _VIT_BASE_14,
        86_777_856,
        preset="dinov2_base",
        rescaling=_STANDARDISED,
        stage_ends={},
        extra_tokens=1,
    ),
    "rad_dino": Backbone(
        "keras_hub",
        "DINOV2Backbone",
        _VIT_BASE_14,
        86_777_856,
        preset="hf://microsoft/rad-dino",
        rescaling=(1 / (255 * _FILMS_DEVIATION), -_FILMS_MEAN / _FILMS_DEVIATION),
        stage_ends={},
        extra_tokens=1,
        weights_licence="MIT",
    ),
}


def find(name: str) -> Backbone:
    """The row of a backbone.

    Raises:
        UserError: Where there is none of that name.
    """
    if name not in BACKBONES:
        raise UserError(f"backbone must be one of {', '.join(BACKBONES)}; received {name!r}")
    return BACKBONES[name]
