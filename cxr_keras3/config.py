"""How a model is trained: one frozen dataclass, from which the command-line flags are made."""

from dataclasses import dataclass
from typing import Literal, get_args

from cxr_keras3 import backbone_table
from cxr_keras3.errors import UserError

FineTune = Literal["none", "last_stage", "last_two_stages", "all"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. Written to the run folder as it was used."""

    backbone: str = "efficientnet_v2_b0"
    """Which backbone; --list-backbones shows them."""
    weights: str = "imagenet"
    """Its initial weights: imagenet, none, or a path to a .h5 file or preset folder of this backbone."""
    image_size: int = 224
    """Height and width in pixels that the backbone sees; ImageNet weights were trained at 224."""
    head_epochs: int = 40
    """Passes over the features, computed once, to train the linear layer alone; seconds each."""
    head_learning_rate: float = 3e-3
    """Peak rate of the linear layer; it is convex, so a high one is safe."""
    fine_tune: FineTune = "last_stage"
    """What is trained after the head: none, last_stage (after the stride-16 map), last_two_stages, all."""
    fine_tune_epochs: int = 10
    """Most passes over the augmented images in fine-tuning; the best by validation macro-F1 is kept."""
    learning_rate: float = 1e-3
    """Peak rate in fine-tuning, reached after one tenth of the steps, then a cosine to zero."""
    weight_decay: float = 1e-4
    """AdamW's decoupled decay, on kernels only."""
    batch_size: int = 32
    """Images a step; 32 trains best on two CPU cores, a GPU takes 128."""
    dropout: float = 0.2
    """Share of the pooled features dropped before the linear layer."""
    label_smoothing: float = 0.05
    """Mass moved from the label to the other classes: the labels are noisy by construction."""
    class_weights: bool = True
    """Weight classes by inverse frequency: Normal is half the database, Viral Pneumonia a sixteenth."""
    augment: bool = True
    """Rotate, shift, zoom, change contrast and brightness; never flip (the heart has a side)."""
    seed: int = 0
    """Decides initial head, order of the images, dropout and augmentation."""

    def __post_init__(self) -> None:
        backbone_table.find(self.backbone)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} must lie in {low}..{high}, received {value}")
        if self.fine_tune not in get_args(FineTune):
            raise UserError(f"fine_tune must be one of {', '.join(get_args(FineTune))}; received {self.fine_tune!r}")


_RANGES = (
    ("image_size", 32, 1024),
    ("head_epochs", 1, 10_000),
    ("head_learning_rate", 1e-6, 1.0),
    ("fine_tune_epochs", 0, 10_000),
    ("learning_rate", 1e-6, 1.0),
    ("weight_decay", 0.0, 1.0),
    ("batch_size", 1, 4096),
    ("dropout", 0.0, 0.9),
    ("label_smoothing", 0.0, 0.5),
    ("seed", 0, 2**31 - 1),
)
