"""Whether an exported graph says what the Keras model says, in figures that are stored beside it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact
from cxr_keras3.run.calibration import Calibration
from cxr_keras3.serving.outputs import Outputs

SCHEMA_VERSION = 1
PARITY = "parity.json"
MIN_AGREEMENT = 0.995
MAX_DIFFERENCE = 1e-3
MAX_MEAN_DIFFERENCE = 0.005


@dataclass(frozen=True)
class Agreement:
    """How near one precision of an exported graph comes to the Keras model in float32.

    Attributes:
        top1: Share of the images with the same most probable class, 0..1.
        flag: Share of the images with the same flag at the stored operating point; None where uncalibrated.
        probabilities_largest: Largest absolute difference of a probability.
        probabilities_mean: Mean absolute difference of the probabilities.
        features_largest: Largest absolute difference of a pooled feature, as a share of the features' range.
        activation_maps_largest: The same of the activation maps.
    """

    top1: float
    flag: float | None
    probabilities_largest: float
    probabilities_mean: float
    features_largest: float
    activation_maps_largest: float

    @property
    def decides_alike(self) -> bool:
        """Whether decisions taken on it are the Keras model's: what bfloat16 is allowed by."""
        same = min(self.top1, self.flag if self.flag is not None else 1.0)
        return same >= MIN_AGREEMENT and self.probabilities_mean <= MAX_MEAN_DIFFERENCE

    @property
    def is_equal(self) -> bool:
        """Whether it is the same function to rounding: what an export in float32 is accepted by.

        Decisions may then differ only on images that lie, to rounding, on the line between two of them.
        """
        return max(self.probabilities_largest, self.features_largest, self.activation_maps_largest) <= MAX_DIFFERENCE


@dataclass(frozen=True)
class Parity:
    """What `parity.json` says of an export.

    Attributes:
        schema_version: The file's own version, `SCHEMA_VERSION`.
        format: One of `exporting.FORMATS`.
        images: Number of images compared.
        source: Where they come from.
        temperature: What the graph divides logits by; 1 where the run was uncalibrated at export.
        processor: On which the figures were measured.
        float32: The figures in float32.
        bfloat16: The figures in bfloat16; None where the format or the processor has none.
    """

    schema_version: int
    format: str
    images: int
    source: str
    temperature: float
    processor: str
    float32: Agreement
    bfloat16: Agreement | None


def compare(expected: Outputs, found: Outputs, calibration: Calibration | None) -> Agreement:
    """Compares the outputs for the same images, those of Keras first."""
    difference = np.abs(expected.probabilities - found.probabilities)
    flag = None
    if calibration is not None:
        ours, theirs = (calibration.flag(calibration.abnormal_score(each.probabilities)) for each in (expected, found))
        flag = float(np.mean(ours == theirs))
    return Agreement(
        top1=float(np.mean(expected.probabilities.argmax(axis=1) == found.probabilities.argmax(axis=1))),
        flag=flag,
        probabilities_largest=float(difference.max()),
        probabilities_mean=float(difference.mean()),
        features_largest=_relative(expected.features, found.features),
        activation_maps_largest=_relative(expected.activation_maps, found.activation_maps),
    )


def _relative(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    if expected.shape != found.shape:
        raise UserError(f"an export must give outputs of shape {expected.shape}, this one gives {found.shape}")
    return float(np.abs(expected - found).max() / max(float(np.ptp(expected)), 1e-12))


def save(parity: Parity, folder: Path) -> None:
    """Writes `parity.json` into an export's folder."""
    artifact.write_json(folder / PARITY, dataclasses.asdict(parity))


def load(folder: Path) -> Parity:
    """Reads an export's `parity.json`.

    Raises:
        UserError: Where it is missing, damaged or of another version.
    """
    path = folder / PARITY
    remedy = f"run python -m cxr_keras3.export again for {folder.parents[1]}"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise UserError(
                f"{path} must have schema version {SCHEMA_VERSION}, it has {content['schema_version']}; {remedy}"
            )
        bfloat16 = content["bfloat16"] and Agreement(**content["bfloat16"])
        return Parity(**content | {"float32": Agreement(**content["float32"]), "bfloat16": bfloat16})
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not an export's parity ({type(error).__name__}: {error}); {remedy}") from error
