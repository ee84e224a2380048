"""How a model is trained: one frozen dataclass, from which the command-line flags are made."""

from dataclasses import dataclass
from typing import Literal, get_args

from cxr_keras3.base.choices import Precision, Region
from cxr_keras3.base.errors import UserError
from cxr_keras3.model import backbone_table
from cxr_keras3.model.backbone_table import FineTune
from tfds_cxr.collections import NAMES as COLLECTIONS

ClassBalance = Literal["none", "weights", "sampling", "strata"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. Written to the run folder as it was used."""

    backbone: str = "efficientnet_v2_b0"
    """Which backbone; --list-backbones shows them."""
    weights: str = "imagenet"
    """Its initial weights: imagenet, none, reference (the model that comes with the package), or a path: a .h5 file or
    preset folder of this backbone, or a run folder."""
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
    cached_views: int = 4
    """Augmented views of each image kept where a tail begins, an epoch each in turn; 0 augments every epoch anew."""
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
    class_balance: ClassBalance = "weights"
    """Against unequal classes: none, weights, sampling (classes drawn alike), strata (their sources and views, too)."""
    collections: tuple[str, ...] = ()
    """Collections, built in the same data folder, to train on beside the database; each film once, patients whole."""
    augment: bool = True
    """Rotate, shift, zoom, change greys, add noise, erase border and corners; never flip (the heart has a side)."""
    region: Region = "full"
    """What the model sees: full image, lungs (black outside the mask), crop (their box); no mask, left out."""
    surroundings: float = 0.0
    """Share of the images in fine-tuning that get an image of another class around their lungs; 0 is off."""
    appearance: float = 0.0
    """Share of the images in fine-tuning whose sharpness, resolution, compression and greys are redrawn; 0 is off."""
    moving_average: float = 0.0
    """Momentum of an average of the weights over the steps, used in place of the last ones: 0.99, say; 0 is off."""
    folds: int = 0
    """Trains so many members first, each without a fold of the patients, then the model on labels and on what members
    say of films that they did not see; 0 is off. Takes as many times longer."""
    precision: Precision = "auto"
    """Number format of the computation: auto is bfloat16 on GPU and TPU, float32 on CPU. The saved model is float32."""
    seed: int = 0
    """Decides initial head, order of the images, dropout and augmentation."""

    def __post_init__(self) -> None:
        backbone_table.find(self.backbone)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} must lie in {low}..{high}, received {value}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} must be one of {', '.join(choices)}; received {getattr(self, name)!r}")
        for name in self.collections:
            if name not in COLLECTIONS:
                raise UserError(f"collections must be among {', '.join(COLLECTIONS)}; received {name!r}")
        self._require_consistent()

    def _require_consistent(self) -> None:
        """Refuses options that are each possible, and not together."""
        on_images = self.fine_tune != "none" and not self.trains_on_features
        for name in ("surroundings", "appearance"):
            if getattr(self, name) and not on_images:
                raise UserError(
                    f"{name} needs fine-tuning on images, received fine_tune {self.fine_tune} with "
                    f"{self.cached_views} cached views; add --fine-tune all, or --cached-views 0"
                )
        if self.folds == 1:
            raise UserError("folds must be 0, or 2 and more, received 1; add --folds 3")
        if self.surroundings and self.region != "full":
            raise UserError(
                f"surroundings changes what lies around the lungs, and region {self.region} hides that; leave one out"
            )

    @property
    def trains_on_features(self) -> bool:
        """Whether fine-tuning begins at features that frozen layers gave once."""
        return self.fine_tune in ("last_stage", "last_two_stages") and self.cached_views > 0


_CHOICES = {
    "fine_tune": get_args(FineTune),
    "class_balance": get_args(ClassBalance),
    "region": get_args(Region),
    "precision": get_args(Precision),
}
_RANGES = (
    ("image_size", 32, 1024),
    ("head_epochs", 1, 10_000),
    ("head_learning_rate", 1e-6, 1.0),
    ("fine_tune_epochs", 0, 10_000),
    ("cached_views", 0, 100),
    ("learning_rate", 1e-6, 1.0),
    ("weight_decay", 0.0, 1.0),
    ("batch_size", 1, 4096),
    ("dropout", 0.0, 0.9),
    ("label_smoothing", 0.0, 0.5),
    ("surroundings", 0.0, 1.0),
    ("appearance", 0.0, 1.0),
    ("moving_average", 0.0, 0.9999),
    ("folds", 0, 20),
    ("seed", 0, 2**31 - 1),
)
