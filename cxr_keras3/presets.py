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
        "KerasCV EfficientNetV2-B0 with ImageNet weights from Kaggle, last stage fine-tuned, one GPU. "
        "Time and score: not measured.",
    ),
    "laptop": Preset(
        TrainingConfig(backbone="mobilenet_025"),
        "MobileNet-0.25 with ImageNet weights, last stage fine-tuned. On 4,840 images of the database, two CPU "
        "cores and JAX: 6.6 minutes, test accuracy 0.892 (0.868 to 0.915).",
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
