"""Members that each leave out a fold of the patients, and what they teach a model of films that they have not seen.

Distillation (Hinton, Vinyals and Dean, arXiv:1503.02531) from members of a cross-validation: a member that was trained
on a film repeats its label, and one that was not says how sure the label is.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.statistics.metrics import softmax
from cxr_keras3.training import data, stages
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.data import Split
from tfds_cxr.labels import LABELS

SHARE = 0.5
"""Of the members' word in what is learnt; the rest is the label's."""
MEMBERS = "members"


@dataclass(frozen=True)
class Teaching:
    """What members teach.

    Attributes:
        targets: float32 (N, classes), a distribution for each training image.
        logits: float32 (M, classes), the members' mean on the validation images.
    """

    targets: np.ndarray
    logits: np.ndarray

    def agreement(self, model: keras.Model, validation: Split) -> str:
        """In words: how often a model says what the members' mean says of the validation images."""
        said, taught = _logits(model, validation).argmax(axis=1), self.logits.argmax(axis=1)
        right = (taught == validation.labels).mean()
        return (
            f"the model says what the members' mean says of {(said == taught).mean():.1%} of the validation images; "
            f"right are {(said == validation.labels).mean():.1%}, the mean {right:.1%}"
        )


def teach(
    config: TrainingConfig,
    train_split: Split,
    validation_split: Split,
    *,
    identity: Mapping[str, Any],
    run_dir: Path,
    cache_dir: Path,
) -> Teaching:
    """Trains the members, or goes on with them, and asks each about the films that it has not seen.

    Args:
        config: How to train each; `folds` says how many.
        train_split: Divided by patients, the classes alike in each fold.
        validation_split: Chooses each member's best epoch.
        identity: Names the dataset in the cache of features.
        run_dir: The members' checkpoints go into folders of their own below.
        cache_dir: Keeps the features.

    Raises:
        UserError: Where there are fewer groups than folds.
    """
    groups = len(np.unique(train_split.group_ids))
    if groups < config.folds:
        raise UserError(
            f"folds must be at most the {groups} groups of training images, received {config.folds}; ask for fewer"
        )
    said = np.empty((len(train_split), len(LABELS)), dtype=np.float32)
    validated = np.zeros((len(validation_split), len(LABELS)), dtype=np.float32)
    alone = dataclasses.replace(config, folds=0)
    divided = StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed)
    parts = divided.split(train_split.labels, train_split.labels, train_split.group_ids)
    for number, (seen, unseen) in enumerate(parts):
        progress.say(f"member {number + 1} of {config.folds}: {len(seen):,} images, without {len(unseen):,}")
        keras.utils.set_random_seed(config.seed)  # the same, whether earlier members were trained now or before
        model = stages.initial_model(alone)
        stages.fit_stages(
            model,
            alone,
            train_split.subset(seen),
            validation_split,
            identity={**identity, "fold": f"{number} of {config.folds}, seed {config.seed}"},
            run_dir=run_dir / MEMBERS / str(number),
            cache_dir=cache_dir,
        )
        said[unseen] = _logits(model, train_split.subset(unseen))
        validated += _logits(model, validation_split) / config.folds
    keras.utils.set_random_seed(config.seed)
    targets = (1 - SHARE) * data.one_hot(train_split.labels) + SHARE * softmax(said)
    return Teaching(targets.astype(np.float32), validated)


def _logits(model: keras.Model, split: Split) -> np.ndarray:
    return np.asarray(model.predict(split.images, batch_size=data.VALIDATION_BATCH, verbose=0), dtype=np.float32)
