"""Named training configurations, each with what it was made for and what it was measured to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.config import TrainingConfig


@dataclass(frozen=True)
class Preset:
    """A configuration and its page of the lab notebook.

    Attributes:
        config: The configuration.
        note: What it is for, expected time and score, where these come from, and the command.
    """

    config: TrainingConfig
    note: str


PRESETS: Mapping[str, Preset] = {
    "default": Preset(
        TrainingConfig(),
        "KerasCV EfficientNetV2-B0 with ImageNet weights from Kaggle, last stage fine-tuned on cached features. "
        "Time and score: not measured.",
    ),
    "best": Preset(
        TrainingConfig(
            backbone="efficientnet_v2_s",
            image_size=299,
            fine_tune="all",
            fine_tune_epochs=30,
            learning_rate=5e-4,
            moving_average=0.999,
            batch_size=64,
        ),
        "KerasCV EfficientNetV2-S with ImageNet weights from Kaggle, all layers at the full size, one large GPU. "
        "Time and score: not measured.",
    ),
    "laptop": Preset(
        TrainingConfig(
            backbone="mobilenet_025",
            head_epochs=10,
            fine_tune="all",
            fine_tune_epochs=15,
        ),
        "MobileNet-0.25 with ImageNet weights, all layers. LAPTOP_FIGURES",
    ),
    "quickstart": Preset(
        TrainingConfig(
            backbone="mobilenet_025",
            weights="none",
            image_size=64,
            head_epochs=1,
            fine_tune="all",
            fine_tune_epochs=50,
            learning_rate=2e-3,
            batch_size=16,
            dropout=0.0,
            label_smoothing=0.0,
        ),
        "A small network trained from nothing on synthetic images, to see every part at work in minutes: "
        "nox -s quickstart. Expect an accuracy of about two thirds, where chance gives one quarter.",
    ),
}
