"""The run folder: what training leaves behind and every other command starts from.

    runs/<name>/  model.keras  manifest.json  settings.json  history.csv  calibration.json  abnormality.npz  gate.npz
                  README.md  evaluation/{…}  export/{…}  lungs/{…}

`Run` reads a finished one. Training fills the folder under the names below.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from cxr_keras3.base import files, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import abnormality as abnormalities
from cxr_keras3.run import calibration as calibrations
from cxr_keras3.run import gate as gates
from cxr_keras3.run import manifest as manifests
from cxr_keras3.run import site as sites
from cxr_keras3.run.abnormality import Abnormality
from cxr_keras3.run.calibration import Calibration
from cxr_keras3.run.collections import COLLECTIONS, CollectionsMetrics
from cxr_keras3.run.collections import SCHEMA_VERSION as COLLECTIONS_SCHEMA_VERSION
from cxr_keras3.run.gate import Gate
from cxr_keras3.run.manifest import Manifest
from cxr_keras3.run.metrics import SCHEMA_VERSION as METRICS_SCHEMA_VERSION
from cxr_keras3.run.metrics import Metrics
from cxr_keras3.run.parity import PARITY, Parity
from cxr_keras3.run.parity import SCHEMA_VERSION as PARITY_SCHEMA_VERSION
from cxr_keras3.run.predictions import Predictions, read_predictions
from cxr_keras3.run.site import Site

if TYPE_CHECKING:  # reading a run must import neither Keras nor TensorFlow
    import keras

    from tfds_cxr.tfds_cxr_dataset_builder import Builder

MANIFEST, MODEL, HISTORY = "manifest.json", "model.keras", "history.csv"
SETTINGS, LOCK = "settings.json", "lock"
CALIBRATION, MODEL_CARD, GATE, EXPORTS = "calibration.json", "README.md", "gate.npz", "export"
ABNORMALITY = "abnormality.npz"
SEGMENTER = "lungs"
EVALUATION = "evaluation"
METRICS, PREDICTIONS, REPORT = "metrics.json", "predictions.csv", "report.html"  # in EVALUATION
RUNS = Path("runs")
REFERENCE = Path(__file__).parents[1] / "reference"
"""The run that comes with the package, trained on real films: what answers where no other is named."""
_DECIDING = (MANIFEST, CALIBRATION, ABNORMALITY, GATE)
_OWN_SEGMENTER = f"{SEGMENTER}/{MANIFEST}"  # which holds the checksums of its graph


class Run:
    """A finished run. Files are read and checked when they are first asked for, and once.

    Attributes:
        folder: The run folder.
        manifest: What the model is.
        site: Where its films come from; None where that is not known.
        origin: Its name on the hub and the commit, `hf://owner/name@commit`; None where it is a folder of this machine.
    """

    def __init__(self, folder: Path, found: Manifest) -> None:
        self.folder = folder
        self.manifest = found
        self.site: Site | None = None
        self.origin: str | None = None
        self._parities: dict[str, Parity] = {}

    @classmethod
    def open(cls, folder: Path | None = None, *, site: Path | None = None) -> Self:
        """Opens a run folder.

        Args:
            folder: The folder; the reference model's when None; a run on the Hugging Face hub as `hf://owner/name` or
                `hf://owner/name@revision`, see `cxr_keras3.run.hub`.
            site: Profile of the hospital that its films come from, see `cxr_keras3.run.site`; None where there is none.

        Raises:
            UserError: Where it is not a finished run that this version understands, or the profile is of another run.
        """
        folder = REFERENCE if folder is None else folder
        run = cls._fetch(folder) if folder.parts[:1] == ("hf:",) else cls._read(folder)
        if site is not None:
            run.site = sites.read(site, run=folder, fingerprint=run.own_fingerprint)
            if run.site.calibration.class_names != run.class_names:
                raise UserError(
                    f"{site} must be of the classes {', '.join(run.class_names)}; commission the site again"
                )
        return run

    @classmethod
    def _read(cls, folder: Path) -> Self:
        path = folder / MANIFEST
        if not path.is_file():
            raise UserError(
                f"a run folder must hold {MANIFEST}, {folder} does not; pass a folder that training finished"
            )
        return cls(folder, manifests.read(path))

    @classmethod
    def _fetch(cls, handle: Path) -> Self:
        """Fetches a run from the hub and checks all of it."""
        from cxr_keras3.base import progress  # noqa: PLC0415 -- as the next
        from cxr_keras3.run import hub  # noqa: PLC0415 -- the hub's client takes time that others save

        folder, pinned = hub.fetch(hub.Handle.parse(handle.as_posix()))
        run = cls._read(folder)
        hub.verify(run)
        run.origin = str(pinned)
        progress.say(f"run: {run.origin}, all checksums right")
        return run

    @property
    def name(self) -> str:
        """The run's name."""
        return self.manifest.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self.manifest.class_names

    @property
    def is_reference(self) -> bool:
        """Whether it is the model that comes with the package, however its folder is spelled."""
        return self.folder.resolve() == REFERENCE.resolve()

    @property
    def results_folder(self) -> Path:
        """Where commands put what they find out: the run's folder.

        That of the reference model belongs to the installation; what is found out about it goes to `runs/reference`.
        That of a run on the hub stays as it was fetched; this goes to `runs/OWNER--NAME-COMMIT`.
        """
        if self.origin is not None:
            repository, _, commit = self.origin.removeprefix("hf://").partition("@")
            return RUNS / f"{repository.replace('/', '--')}-{commit[:12]}"
        return RUNS / REFERENCE.name if self.is_reference else self.folder

    def require_own(self, what: str) -> None:
        """Refuses to write into a run that is not the user's.

        Args:
            what: What would be written, for the error: "--sensitivity writes a run's calibration anew".

        Raises:
            UserError: Where it is the reference model or one of the hub.
        """
        if self.is_reference:
            raise UserError(
                f"{what}, and the reference model belongs to the installation; copy {REFERENCE} and pass the copy"
            )
        if self.origin is not None:
            repository, _, commit = self.origin.removeprefix("hf://").partition("@")
            raise UserError(
                f"{what}, and {self.origin} stays as it was fetched; pass a copy of your own: hf download {repository} "
                f"--revision {commit} --local-dir {RUNS / Path(repository).name}"
            )

    @cached_property
    def calibration(self) -> Calibration | None:
        """Temperature, flag and prediction sets; None where the run has none.

        Raises:
            UserError: Where the file is damaged or of other classes.
        """
        path = self.folder / CALIBRATION
        if not path.exists():
            return None
        found = calibrations.read(path)
        if found.class_names != self.class_names:
            raise UserError(f"{path} must be of the classes {', '.join(self.class_names)}; delete it")
        return found

    @property
    def required_calibration(self) -> Calibration:
        """The calibration of a run that must have one.

        Raises:
            UserError: Where it has none.
        """
        if self.calibration is None:
            raise UserError(
                f"a calibrated run must hold {CALIBRATION}, {self.folder} does not; run python -m cxr_keras3.evaluate "
                f"{self.folder}"
            )
        return self.calibration

    @cached_property
    def abnormality(self) -> Abnormality | None:
        """What says whether a film is abnormal; None where the run has none.

        Raises:
            UserError: Where the file is damaged or of another version.
        """
        path = self.folder / ABNORMALITY
        return abnormalities.read(path) if path.exists() else None

    @property
    def required_abnormality(self) -> Abnormality:
        """The abnormality of a calibrated run, which must have one.

        Raises:
            UserError: Where it has none.
        """
        if self.abnormality is None:
            raise UserError(
                f"a calibrated run must hold {ABNORMALITY}, {self.folder} does not; delete {CALIBRATION} and run "
                f"python -m cxr_keras3.evaluate {self.folder}"
            )
        return self.abnormality

    @property
    def operating_point(self) -> Calibration | None:
        """The calibration by which films are flagged: the site's where it is known; None where there is none."""
        return self.site.calibration if self.site else self.calibration

    @property
    def temperature(self) -> float:
        """What logits are divided by; 1 where the run is not calibrated."""
        return self.calibration.temperature if self.calibration else 1.0

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (N, classes), of logits of the same shape; calibrated where the run is."""
        return calibrations.probabilities(logits, temperature=self.temperature)

    def write_calibration(self, fitted: Calibration) -> None:
        """Replaces the run's calibration."""
        records.write(self.folder / CALIBRATION, fitted)
        self.__dict__["calibration"] = fitted

    def write_abnormality(self, fitted: Abnormality) -> None:
        """Replaces what says whether a film is abnormal."""
        abnormalities.save(fitted, self.folder / ABNORMALITY)
        self.__dict__["abnormality"] = fitted

    @cached_property
    def gate(self) -> Gate | None:
        """What is taken for an upright frontal chest film; None where the run has no gate."""
        path = self.folder / GATE
        return gates.read(path) if path.exists() else None

    @property
    def required_gate(self) -> Gate:
        """The gate of a run that must have one.

        Raises:
            UserError: Where it has none.
        """
        if self.gate is None:
            raise UserError(f"the run must hold {GATE}, {self.folder} does not; give its training command again")
        return self.gate

    @cached_property
    def metrics(self) -> Metrics | None:
        """What its evaluation on the test split found; None where it was never evaluated.

        Raises:
            UserError: Where the file is damaged or of another version.
        """
        path = self.folder / EVALUATION / METRICS
        if not path.exists():
            return None
        remedy = f"run python -m cxr_keras3.evaluate {self.folder}"
        found = records.read(path, Metrics, version=METRICS_SCHEMA_VERSION, remedy=remedy)
        count = len(self.class_names)
        sides = {len(found.confusion_matrix), *map(len, found.confusion_matrix)}
        if found.by_class.keys() != set(self.class_names) or sides != {count}:
            raise UserError(f"{path} must be of the classes {', '.join(self.class_names)}; {remedy}")
        return found

    @cached_property
    def collections(self) -> CollectionsMetrics | None:
        """What its evaluation on other collections found; None where there was none.

        Raises:
            UserError: Where the file is damaged or of another version.
        """
        path = self.folder / COLLECTIONS / METRICS
        if not path.exists():
            return None
        remedy = f"delete {path}, or run python -m cxr_keras3.evaluate {self.folder} --collection NAME"
        return records.read(path, CollectionsMetrics, version=COLLECTIONS_SCHEMA_VERSION, remedy=remedy)

    @cached_property
    def predictions(self) -> Predictions:
        """What its evaluation on the test split said of each image.

        Raises:
            UserError: Where the table is missing or damaged.
        """
        remedy = f"run python -m cxr_keras3.evaluate {self.folder}"
        return read_predictions(self.folder / EVALUATION / PREDICTIONS, self.class_names, remedy=remedy)

    @property
    def model_card(self) -> str:
        """The run's model card in Markdown, without the header that is for machines; empty where there is none."""
        path = self.folder / MODEL_CARD
        if not path.exists():
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
        return text.partition("\n---\n")[2].strip() if text.startswith("---\n") else text

    @property
    def segmenter_folder(self) -> Path | None:
        """Where the run's own segmenter is; None where it has none, and takes that of the package."""
        folder = self.folder / SEGMENTER
        return folder if folder.is_dir() else None

    def export_folder(self, format_name: str) -> Path:
        """Where the export to a format is, or would be."""
        return self.folder / EXPORTS / format_name

    def parity(self, format_name: str) -> Parity | None:
        """How near the export to a format comes to the model; None where there is no such export.

        Raises:
            UserError: Where its record is damaged or of an earlier version, or its files are not what they were.
        """
        folder = self.export_folder(format_name)
        if not folder.is_dir():
            return None
        if format_name not in self._parities:
            remedy = f"make it again: python -m cxr_keras3.export {self.folder} --format {format_name}"
            found = records.read(folder / PARITY, Parity, version=PARITY_SCHEMA_VERSION, remedy=remedy)
            files.require_checksums(folder, found.checksums, remedy=remedy)
            self._parities[format_name] = found
        return self._parities[format_name]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of SHA-256 over what decides its answers.

        That is manifest, calibration, abnormality and gate, the segmenter where the run has its own, and the site
        profile in use. The manifest holds the time of training. An export, or an upgrade of this package, does not
        change it.
        """
        if self.site is None:
            return self.own_fingerprint
        return hashlib.sha256(repr(self.site).encode()).hexdigest()[:16]  # the profile names the run's own

    @cached_property
    def own_fingerprint(self) -> str:
        """The fingerprint without a site profile, which names it."""
        digest = hashlib.sha256()
        deciding = (*_DECIDING, _OWN_SEGMENTER) if self.segmenter_folder else _DECIDING
        for name in deciding:
            path = self.folder / name
            digest.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
        return digest.hexdigest()[:16]

    def load_model(self) -> "keras.Model":
        """Loads the model on the current Keras backend.

        Raises:
            UserError: Where the file is missing, damaged, or does not fit the manifest.
        """
        import keras  # noqa: PLC0415 -- see above

        from cxr_keras3.model import backbones  # noqa: PLC0415 -- imports Keras

        path = self.folder / MODEL
        if not path.exists() and self.export_folder("openvino").is_dir():
            raise UserError(
                f"the run {self.name} is there for OpenVINO only, its folder holds no {MODEL}; use --runtime openvino, "
                "or a run of your own"
            )
        files.require_checksums(self.folder, self.manifest.checksums, remedy="restore it or train again")
        backbones.import_provider(self.manifest.config["backbone"])
        try:
            model = keras.models.load_model(path, compile=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be loaded ({error}); restore it or train again") from error
        expected = ((None, *self.manifest.input["shape"]), (None, len(self.class_names)))
        if (model.input_shape, model.output_shape) != expected:
            raise UserError(f"{path} must map {expected}, it maps {model.input_shape, model.output_shape}")
        return model

    def is_split_as(self, builder: "Builder") -> bool:
        """Whether a dataset of the same files is split as that which the run was trained on."""
        return bool(self.manifest.data.get("version") == str(builder.version))

    def require_trained_on(self, builder: "Builder") -> None:
        """Refuses any dataset but the one that the run was trained on: same files, same split.

        Raises:
            UserError: Where it is another.
        """
        self.require_same_files(builder)
        if not self.is_split_as(builder):
            raise UserError(
                f"the dataset must be the one that the run {self.name} was trained on, version "
                f"{self.manifest.data.get('version')}; {builder.data_path} is split otherwise, and some of its "
                "held-out images were trained on; train again on it"
            )

    def require_same_files(self, builder: "Builder") -> None:
        """Refuses a dataset of other files, some of whose held-out images the model may have been trained on.

        Raises:
            UserError: Where it is one.
        """
        if builder.info.metadata["listing_fingerprint"] != self.manifest.data["listing_fingerprint"]:
            raise UserError(
                f"the dataset must be the one that the run {self.name} was trained on, {builder.data_path} was built "
                "from other files, some of which it may have learnt from; pass the --data-dir used in training"
            )
