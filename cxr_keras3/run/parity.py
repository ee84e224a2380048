"""What `parity.json` says of an export: how near it comes to the Keras model, on real images."""

from collections.abc import Mapping
from dataclasses import dataclass

SCHEMA_VERSION = 3
"""2: the graph gives logits too. 3: checksums."""
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
        logits_largest: Largest absolute difference of a logit, as a share of the logits' range; None where the output
            was added to an exported graph, as a constant multiple of what its probabilities are made of.
        features_largest: The same of the pooled features.
        activation_maps_largest: The same of the activation maps.
    """

    top1: float
    flag: float | None
    probabilities_largest: float
    probabilities_mean: float
    logits_largest: float | None
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
        relative = (self.logits_largest or 0.0, self.features_largest, self.activation_maps_largest)
        return max(self.probabilities_largest, *relative) <= MAX_DIFFERENCE


@dataclass(frozen=True)
class Parity:
    """What `parity.json` says of an export.

    Attributes:
        schema_version: The file's own version, `SCHEMA_VERSION`.
        format: One of `cxr_keras3.serving.exporting.FORMATS`.
        images: Number of images compared.
        source: Where they come from.
        temperature: What the graph divides logits by for its probabilities; 1 where the run was uncalibrated at export.
        processor: On which the figures were measured.
        checksums: SHA-256 of the export's files, by their names.
        float32: The figures in float32.
        bfloat16: The figures in bfloat16; None where the format or the processor has none.
    """

    schema_version: int
    format: str
    images: int
    source: str
    temperature: float
    processor: str
    checksums: Mapping[str, str]
    float32: Agreement
    bfloat16: Agreement | None
