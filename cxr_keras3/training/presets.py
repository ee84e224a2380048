"""Named training configurations, each with what it was made for and what it was measured to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.training.config import TrainingConfig


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
        "KerasCV EfficientNetV2-B0 with ImageNet weights from Kaggle, last stage fine-tuned on cached features. For "
        "accelerators: on an AVX2 core under JAX its features take 0.13 s for each view of an image, four views each. "
        "Score: not measured, nor the time on an accelerator.",
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
            fine_tune_epochs=13,
        ),
        "MobileNet-0.25 with ImageNet weights, all layers, two CPU cores. On 4,840 images of the database with JAX: "
        "11.4 minutes, evaluation and export included; test accuracy 0.916 (0.894 to 0.935), balanced 0.909 (0.886 to "
        "0.930). With --backend tensorflow --fine-tune-epochs 20: 0.929 and 0.916. Commands: README, Results. "
        "A moving average (--moving-average 0.99), 15 epochs, or weaker augmentation: the same within the interval.",
    ),
    "reference": Preset(
        TrainingConfig(
            backbone="mobilenet_025",
            head_epochs=10,
            fine_tune="all",
            fine_tune_epochs=10,
            class_balance="strata",
            appearance=0.5,
        ),
        "What the reference model was trained with, on 12,516 images of the database: sources and views drawn alike, "
        "appearances redrawn. nox -s reference does it all; time and score: docs/reference-model.md.",
    ),
    "quickstart": Preset(
        TrainingConfig(
            backbone="mobilenet_025",
            weights="reference",
            head_epochs=40,
            fine_tune="none",
            batch_size=16,
        ),
        "A linear layer on the features of the model that comes with the package, for synthetic images: every part at "
        "work in minutes, without a download. nox -s quickstart. Expect an accuracy of about 0.85, where chance gives "
        "one quarter.",
    ),
}
