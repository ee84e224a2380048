"""The manifest: what a model is. Whoever uses a model takes its names from here and from nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from cxr_keras3.base import records
from cxr_keras3.base.choices import Region
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE

SCHEMA_VERSION = 1
INPUT_CONTRACT = {
    "shape": [IMAGE_SIZE, IMAGE_SIZE, 1],
    "dtype": "uint8",
    "range": [0, 255],
    "meaning": "grey, upright, air is dark; made by cxr_keras3.images.canonical",
}
LICENCE = (
    "for research; the weights derive from images whose terms their original authors set "
    "(see the data card of tfds_cxr)"
)
COLLECTIONS = "collections"
"""Key in the description of the data: collections trained on beside the database, see `training.mixture`."""
MEMBERS = "members"
"""Key in the configuration of an ensemble: the names of the runs that it is the mean of."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    Attributes:
        schema_version: The manifest's own version, `SCHEMA_VERSION`.
        name: The run's name.
        created: When training ended, ISO 8601 in UTC.
        class_names: In the order of the logits.
        input: The input contract, see `INPUT_CONTRACT`.
        backend: The Keras backend it was trained on; it loads on any.
        config: The training configuration, see `cxr_keras3.training.config.TrainingConfig`.
        data: Dataset version, fingerprint, counts by split and class, and whether its images are synthetic.
        validation: Metrics on the validation split, on which the best weights were chosen.
        packages: Versions of the packages it was trained with.
        licence: Terms of use.
        checksums: SHA-256 of the model's file, by its name; none in manifests of before.
    """

    schema_version: int
    name: str
    created: str
    class_names: tuple[str, ...]
    input: Mapping[str, Any]
    backend: str
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    validation: Mapping[str, Any]
    packages: Mapping[str, str]
    licence: str = LICENCE
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def region(self) -> Region:
        """What of each image the model is shown, see `cxr_keras3.images.region`."""
        region: Region = self.config.get("region", "full")
        return region

    @property
    def is_synthetic(self) -> bool:
        """Whether it was trained on drawn images, and says nothing of real ones."""
        return bool(self.data["synthetic"])

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the runs that an ensemble is the mean of; none for a single model."""
        return tuple(self.config.get(MEMBERS, ()))

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections that it was trained on beside the database."""
        return tuple(self.data.get(COLLECTIONS, ()))

    @property
    def collection_patients(self) -> frozenset[str]:
        """Collections, by the names they give patients, whose films it was trained on beside the database's."""
        return frozenset(name for each in self.data.get(COLLECTIONS, {}).values() for name in each["patients_of"])

    @property
    def architecture(self) -> str:
        """What kind of model it is, in words."""
        backbone = str(self.config["backbone"])
        return f"mean of {len(self.members)} {backbone}" if self.members else backbone


def read(path: Path) -> Manifest:
    """Reads and checks a manifest.

    Raises:
        UserError: Where it is damaged, or not one that this version understands.
    """
    remedy = "restore it, train again, or use the version of cxr_keras3 that wrote it"
    manifest = records.read(path, Manifest, version=SCHEMA_VERSION, remedy=remedy)
    if manifest.input != INPUT_CONTRACT:
        raise UserError(f"{path} must state the input {INPUT_CONTRACT}, it states {manifest.input}; {remedy}")
    missing = [name for name in ("backbone",) if name not in manifest.config]
    missing += [name for name in ("synthetic", "listing_fingerprint") if name not in manifest.data]
    if missing:
        raise UserError(f"{path} must state {', '.join(missing)}, it does not; {remedy}")
    wrong = [name for name, is_right in _checks(manifest).items() if not is_right]
    if wrong:
        raise UserError(f"{path} must state a known or plain {', '.join(wrong)}, it does not; {remedy}")
    return manifest


def _checks(manifest: Manifest) -> dict[str, bool]:
    """Whether what a manifest may hold in any type is of the type that its readers expect."""
    names, config = manifest.class_names, manifest.config
    members = config.get(MEMBERS, [])
    return {
        "class_names": len(set(names)) == len(names) >= 2 and all(names),
        "backbone": isinstance(config["backbone"], str),
        "region": config.get("region", "full") in list(get_args(Region)),
        MEMBERS: isinstance(members, list) and all(isinstance(name, str) for name in members),
        "data version": isinstance(manifest.data.get("version", ""), str),
    }
