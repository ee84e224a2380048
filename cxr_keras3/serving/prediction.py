"""A prediction: what the model says of one file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADLINES = {True: "Abnormal: read first", False: "Nothing above the threshold", None: "Not calibrated: no flag"}
_ARRAYS = frozenset({"image", "activation_maps", "lungs", "features"})


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one file.

    Attributes:
        file: The file as it was named.
        accepted: Whether it could be read and is taken for a frontal chest film.
        reject_reason: Why not, in one line; empty where accepted.
        abnormal_score: How abnormal the film looks, 0..1, see `cxr_keras3.run.abnormality`; None where not accepted.
        flag: Whether a reader should look first, by the operating point; None where not accepted or the run is not
            calibrated.
        predicted: Normal where not flagged, else the most probable class but Normal, see `cxr_keras3.run.answers`;
            empty where not accepted.
        prediction_set: The classes that cannot be ruled out at a coverage of 90 %, see `cxr_keras3.run.calibration`,
            and the predicted one. None where not accepted or the run is not calibrated.
        withheld: Why the predicted class is not to be named to a reader, one line; empty where it is.
        probabilities: Class name to calibrated probability; they sum to 1. For research: they read the hospital, too.
            Empty where not accepted.
        site: Name of the site profile in use; empty without one.
        distance: From the training films, in features; 1 is the largest accepted. None where not accepted or the run
            has no gate.
        evidence_in_lungs: Share of what speaks for the predicted class that lies in the lungs, 0..1; None where not
            accepted, or no place speaks for it.
        warnings: What a reader should know of the image and of this answer, one short line each.
        model: The run's name.
        version: Of cxr_keras3, which scored it.
        sop_instance_uid: The DICOM image's unique identifier; empty for other files.
        image: uint8 (299, 299), the film as the model saw it; None where it could not be read.
        activation_maps: Class name to float32 (h, w), what each place adds to the class's logit; None where
            not accepted.
        lungs: bool (256, 256, 2), the patient's right lung, at the left of the picture, and the left one; None where
            not accepted.
        features: float32 (C,), the pooled features; None where not accepted.
    """

    file: str
    accepted: bool
    reject_reason: str
    abnormal_score: float | None
    flag: bool | None
    predicted: str
    prediction_set: tuple[str, ...] | None
    withheld: str
    probabilities: Mapping[str, float]
    site: str
    distance: float | None
    evidence_in_lungs: float | None
    warnings: tuple[str, ...]
    model: str
    version: str
    sop_instance_uid: str
    image: npt.NDArray[np.uint8] | None
    activation_maps: Mapping[str, npt.NDArray[np.float32]] | None
    lungs: npt.NDArray[np.bool_] | None
    features: npt.NDArray[np.float32] | None

    @property
    def headline(self) -> str:
        """The answer to the first question, as a reader is told it; empty where not accepted."""
        if not self.accepted:
            return ""
        return _HEADLINES[self.flag]

    @property
    def named(self) -> str:
        """The predicted class as a reader is told it: "class withheld" where there is no ground to name one."""
        return "class withheld" if self.withheld else self.predicted

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of all fields but the arrays, in order."""
        return tuple(field.name for field in fields(cls) if field.name not in _ARRAYS)

    def record(self) -> dict[str, Any]:
        """All but the arrays, as JSON can hold it."""
        return {name: getattr(self, name) for name in self.columns()}
