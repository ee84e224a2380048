"""Is this a frontal chest radiograph, the right way up? Asked before any diagnosis, of the image itself.

Two measures, fitted at the end of training and kept in the run's `gate.npz`:

- the Mahalanobis distance of the model's pooled features from those of the training images (Lee et al., "A
  Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018). Their
  covariance is shrunk (Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
  2004), and beyond its widest directions taken for the same in all (Tipping & Bishop, "Probabilistic principal
  component analysis", 1999), so that a gate stays small where the features are many;
- a logistic regression on thumbnails that tells upright films from turned and inverted ones, trained on the
  training images as they are, turned and inverted.

docs/adr/0016 gives the evidence for both, and their error rates.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base import arrays, files
from cxr_keras3.base.errors import UserError

SCHEMA_VERSION = 3
"""3: holds the distances of the validation images."""
ACCEPTED_SHARE = 0.999
"""Share of the validation images that the distance threshold lets pass."""
MIN_UPRIGHT = 0.05
"""Least probability of being upright; below it another orientation is some twenty times as likely."""
MIN_CONTRAST = 4.0
"""Least standard deviation of an image's grey values; the flattest film of 4,840 of the database has 14."""
DIRECTIONS = 128
"""How many of the widest directions of the features have a variance of their own; the others share their mean."""
MIN_VARIANCE = 1e-4
"""Least variance along any direction, as a share of the mean one, lest a feature that never stirred in training
decide alone."""
ASKEW = 4.0
"""Tilt of the lungs in degrees above which a film is said to be askew."""
ORIENTATIONS = (
    "upright",
    "turned by 90 degrees counter-clockwise",
    "turned upside down",
    "turned by 90 degrees clockwise",
    "inverted: bone is dark in it",
)
THUMBNAIL = 16

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Gate:
    """What `gate.npz` holds. C is the number of pooled features.

    Attributes:
        mean: (C,), of the training images' compressed features.
        directions: (C, K), orthonormal, the widest of their covariance; K is at most `DIRECTIONS`.
        variances: (K + 1,), along each of these, and the mean of those along all others.
        threshold: Largest squared distance accepted.
        validated: (M,), squared distances of the validation images, which films of a site are compared with.
        weights: (256, 5), of the logistic regression on thumbnails, a column for each of `ORIENTATIONS`.
        bias: (5,), of the same.
    """

    mean: Floats
    directions: Floats
    variances: Floats
    threshold: float
    validated: Floats
    weights: Floats
    bias: Floats

    def distances(self, features: Floats) -> Floats:
        """Squared distances, (N,), of pooled features (N, C) from the training images."""
        centred = _compressed(features) - self.mean
        # Not by BLAS: its threads wait for more work by spinning, 27 ms long, on cores that the networks need.
        along = np.square(np.einsum("nc,ck->nk", centred, self.directions))
        beyond = np.maximum(np.square(centred).sum(axis=1) - along.sum(axis=1), 0.0)  # below it by rounding alone
        return np.asarray((along / self.variances[:-1]).sum(axis=1) + beyond / self.variances[-1])

    def relative(self, distances: Floats) -> Floats:
        """Distances, (N,), of squared ones: 1 is the largest accepted."""
        return np.asarray(np.sqrt(distances / self.threshold))

    def orientations(self, images: Images) -> Floats:
        """Probabilities of `ORIENTATIONS`, (N, 5), of canonical images (N, 299, 299, 1)."""
        logits = _thumbnails(images) @ self.weights + self.bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def reasons(self, images: Images, distances: Floats, tilts: Sequence[float] = ()) -> list[str]:
        """Why each image is refused, one line each; empty where it is accepted.

        Args:
            images: uint8 (N, 299, 299, 1), canonical.
            distances: float32 (N,), of the pooled features of these images, see `distances`.
            tilts: By how many degrees the lungs of each lie askew, see `cxr_keras3.lungs.anatomy`; none where that was
                not measured. The thumbnails know four orientations and take a film askew for one of them.
        """
        contrasts = images.std(axis=(1, 2, 3), dtype=np.float32)
        measured = tilts or (math.nan,) * len(images)
        rows = zip(contrasts, self.orientations(images), distances, measured, strict=True)
        return [
            self._reason(float(contrast), chances, float(distance), tilt) for contrast, chances, distance, tilt in rows
        ]

    def _reason(self, contrast: float, chances: Floats, distance: float, tilt: float) -> str:
        if contrast < MIN_CONTRAST:
            return "the image is blank: send the exposed film"
        turned = f"it looks {ORIENTATIONS[int(chances.argmax())]}" if chances[0] < MIN_UPRIGHT else ""
        if turned and abs(tilt) > ASKEW:
            turned += f", or askew by {abs(tilt):.0f} degrees"
        if distance > self.threshold:
            return (
                "the image does not look like a frontal chest film: its distance from the training films is "
                f"{math.sqrt(distance / self.threshold):.2f} times the largest accepted"
                f"{', and ' + turned if turned else ''}; send an upright PA or AP chest film"
            )
        if turned:
            return f"the film is not upright: {turned}; set it upright, with air dark"
        return ""


def fit(features_train: Floats, *features_validation: Floats, images_train: Images) -> Gate:
    """Fits the gate to a trained model.

    Args:
        features_train: float32 (N, C), pooled features of the training images.
        features_validation: float32 (M, C), of the validation images, which set the threshold; several where the
            model is served in several precisions, each of which is to let `ACCEPTED_SHARE` of them pass.
        images_train: uint8 (N, 299, 299, 1), the training images.
    """
    from sklearn.covariance import LedoitWolf  # noqa: PLC0415 -- takes a second that reading a gate saves

    shrunk = LedoitWolf().fit(_compressed(features_train).astype(np.float64))
    mean = shrunk.location_.astype(np.float32)
    directions, variances = _spread(shrunk.covariance_)
    weights, bias = _fit_orientation(_thumbnails(images_train))
    unset = Gate(mean, directions, variances, math.inf, np.zeros(0, np.float32), weights, bias)
    distances = [unset.distances(each) for each in features_validation]
    thresholds = [np.quantile(each, ACCEPTED_SHARE, method="higher") for each in distances]
    least = 0.01 * len(mean)  # of Gaussian features the distance is C on average; none at all if they never vary
    return dataclasses.replace(unset, threshold=max(least, *map(float, thresholds)), validated=distances[0])


def _spread(covariance: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """`Gate.directions` and `Gate.variances` of a covariance, with a floor below features that hardly vary."""
    variances, directions = np.linalg.eigh(covariance)  # the narrowest first
    variances, directions = variances[::-1], directions[:, ::-1]
    count = min(DIRECTIONS, len(variances) - 1)
    found = np.append(variances[:count], variances[count:].mean())
    floor = max(MIN_VARIANCE * float(variances.mean()), 1e-8)  # all are zero in a model that has collapsed
    return directions[:, :count].astype(np.float32), np.maximum(found, floor).astype(np.float32)


def _fit_orientation(thumbnails: Floats) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- see above

    square = thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL)
    turned = [np.rot90(square, quarters, axes=(1, 2)) for quarters in range(4)]
    variants = np.concatenate([*turned, -square]).reshape(-1, THUMBNAIL**2)
    labels = np.repeat(np.arange(len(ORIENTATIONS)), len(square))
    fitted = LogisticRegression(C=0.03, max_iter=500).fit(variants, labels)
    return fitted.coef_.T.astype(np.float32), fitted.intercept_.astype(np.float32)


def _compressed(features: Floats) -> Floats:
    """Signed logarithms: pooled activations have long tails, which a Gaussian has not."""
    return np.asarray(np.sign(features) * np.log1p(np.abs(features)))


def _thumbnails(images: Images) -> Floats:
    """Thumbnails (N, 256) of zero mean and unit deviation: what is left is the shape, not the exposure."""
    size = (THUMBNAIL, THUMBNAIL)
    small = [Image.fromarray(image[..., 0]).resize(size, Image.Resampling.BOX) for image in images]
    values = np.stack([np.asarray(image, dtype=np.float32).ravel() for image in small])
    values -= values.mean(axis=1, keepdims=True)
    return np.asarray(values / (values.std(axis=1, keepdims=True) + 1.0))


def save(gate: Gate, path: Path) -> None:
    """Writes the file whole or not at all."""
    with files.replacing(path) as written:
        np.savez(written, schema_version=SCHEMA_VERSION, **vars(gate))


def read(path: Path) -> Gate:
    """Reads a run's gate.

    Raises:
        UserError: Where the file is damaged or of another version.
    """
    remedy = "restore it or train again"
    content = arrays.read(path, kind="a gate", remedy=remedy)
    version = content.get("schema_version", np.zeros(()))
    if version.shape or version != SCHEMA_VERSION:
        raise UserError(
            f"{path} must have schema version {SCHEMA_VERSION}, it has {version}; delete it and give the run's "
            "training command again, which fits what is missing"
        )
    try:
        _check(content)
        names = ("mean", "directions", "variances", "validated", "weights", "bias")
        return Gate(threshold=float(content["threshold"]), **{name: content[name] for name in names})
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not a gate ({type(error).__name__}: {error}); {remedy}") from error


def _check(content: Mapping[str, np.ndarray]) -> None:
    features = content["mean"].size
    directions = content["directions"].size // max(features, 1)
    shapes = {
        "mean": (features,),
        "directions": (features, directions),
        "variances": (directions + 1,),
        "threshold": (),
        "validated": (content["validated"].size,),
        "weights": (THUMBNAIL**2, len(ORIENTATIONS)),
        "bias": (len(ORIENTATIONS),),
    }
    arrays.require(content, {name: ("f", shape) for name, shape in shapes.items()})
    if not features or not (content["variances"] > 0).all():
        raise ValueError("it must have features, and variances above 0")
