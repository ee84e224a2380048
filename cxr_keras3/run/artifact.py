"""The run folder: what training leaves behind and everything else starts from.

    runs/<name>/  model.keras  manifest.json  settings.json  history.csv  calibration.json  gate.npz  README.md
                  evaluation/{…}  export/{…}

The manifest says what the model is: class names in order, input contract, how and on what it was
trained. Whoever uses a model takes names from its manifest and from nowhere else.
"""

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from cxr_keras3.base.choices import Region
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE

if TYPE_CHECKING:  # loading a model imports Keras; reading a manifest must not
    import keras

    from tfds_cxr.tfds_cxr_dataset_builder import Builder

SCHEMA_VERSION = 1
MANIFEST, MODEL, HISTORY, EVALUATION = "manifest.json", "model.keras", "history.csv", "evaluation"
METRICS, PREDICTIONS, REPORT = "metrics.json", "predictions.csv", "report.html"  # in EVALUATION
METRICS_SCHEMA_VERSION = 3
"""Of docs/metrics-schema.md."""
SETTINGS, LOCK = "settings.json", "lock"
CALIBRATION, MODEL_CARD, GATE = "calibration.json", "README.md", "gate.npz"
MEMBERS = "members"
"""Key in the manifest's configuration of an ensemble: the names of the runs that it is the mean of."""
RUNS = Path("runs")
REFERENCE = Path(__file__).parents[1] / "reference"
"""The run that comes with the package, trained on real films: what answers where no other is named."""
PACKAGES = ("keras", "jax", "keras-cv", "tensorflow-datasets", "numpy", "scikit-learn", "pillow")
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

    @property
    def region(self) -> Region:
        """What of each image the model is shown, see `cxr_keras3.images.region`."""
        region: Region = self.config.get("region", "full")
        return region

    @property
    def architecture(self) -> str:
        """What kind of model it is, in words."""
        members = self.config.get(MEMBERS, ())
        return f"mean of {len(members)} {self.config['backbone']}" if members else str(self.config["backbone"])

    def require_trained_on(self, builder: "Builder") -> None:
        """Refuses a dataset of other files, some of whose held-out images the model may have been trained on.

        Raises:
            UserError: Where it is one.
        """
        if builder.info.metadata["listing_fingerprint"] != self.data["listing_fingerprint"]:
            raise UserError(
                f"the dataset must be the one that the run {self.name} was trained on, {builder.data_path} was built "
                "from other files, some of which it may have learnt from; pass the --data-dir used in training"
            )

    def require_whole_images(self) -> None:
        """Refuses to show a model of lungs alone a film, which comes without a mask.

        Raises:
            UserError: Where the run was trained on a region.
        """
        if self.region != "full":
            raise UserError(
                f"the run {self.name} was trained with --region {self.region}, which needs lung masks and files carry "
                "none; evaluate it on the dataset, or use a run trained on full images"
            )


def package_versions() -> dict[str, str]:
    """Versions of the packages that a model depends on, and of this one."""
    return {name: importlib.metadata.version(name) for name in ("cxr_keras3", *PACKAGES)}


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 -- whatever JSON can hold
    """Writes a JSON file whole or not at all: to a temporary name, then renamed."""
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def write_manifest(run_dir: Path, manifest: Manifest) -> None:
    """Writes the manifest, the last file of a run: a folder without one is not a finished run."""
    write_json(run_dir / MANIFEST, dataclasses.asdict(manifest))


def load_manifest(run_dir: Path) -> Manifest:
    """Reads and checks a run's manifest.

    Raises:
        UserError: Where the folder is not a finished run that this version understands.
    """
    path = run_dir / MANIFEST
    if not path.is_file():
        raise UserError(f"a run folder must hold {MANIFEST}, {run_dir} does not; pass a folder that training finished")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise UserError(
                f"{path} must have schema version {SCHEMA_VERSION}, it has {content['schema_version']}; "
                "use the version of cxr_keras3 that wrote it"
            )
        manifest = Manifest(**content | {"class_names": tuple(content["class_names"])})
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a manifest ({error}); restore it or train again") from error
    if manifest.input != INPUT_CONTRACT:
        raise UserError(f"{path} states an input other than {INPUT_CONTRACT}; use the version that wrote it")
    return manifest


def require_unfinished(run_dir: Path) -> None:
    """Refuses to train into a folder that holds a finished run.

    Raises:
        UserError: Where it does.
    """
    if (run_dir / MANIFEST).exists():
        raise UserError(f"--run-dir must not hold a finished run, {run_dir} does; name another or delete it")


def is_complete(run_dir: Path) -> bool:
    """Whether nothing is left to do for a training command: the run is trained, evaluated and ready to serve.

    A run on a region of the images cannot be served, and needs no gate.
    """
    if not ((run_dir / MANIFEST).exists() and (run_dir / EVALUATION / METRICS).exists()):
        return False
    return (run_dir / GATE).exists() or load_manifest(run_dir).region != "full"


def load_results(run_dir: Path) -> dict[str, Any]:
    """What a run's evaluation on the test split found, see docs/metrics-schema.md."""
    found: dict[str, Any] = json.loads((run_dir / EVALUATION / METRICS).read_text(encoding="utf-8"))
    return found


def is_reference(run_dir: Path) -> bool:
    """Whether a folder, however it is spelled, is that of the model that comes with the package."""
    return run_dir.resolve() == REFERENCE.resolve()


@contextmanager
def claimed(run_dir: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Holds a run folder for one training, and sees to it that a continued one has the settings it began with.

    Args:
        run_dir: Made where missing.
        settings: What decides the outcome, as JSON can hold it; written at the first time.

    Raises:
        UserError: Where another command holds the folder, or the folder's training began with other settings.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(run_dir / LOCK)  # the system gives it free however a process ends
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(
            f"only one command may train in a run folder, another does in {run_dir}; wait, or name another --run-dir"
        ) from error
    try:
        begun = run_dir / SETTINGS
        if begun.exists():
            _require_same_settings(json.loads(begun.read_text(encoding="utf-8")), settings, run_dir)
        else:
            write_json(begun, settings)
        yield
    finally:
        lock.release()


def _require_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], run_dir: Path) -> None:
    now = json.loads(json.dumps(now))  # as it would come back
    changed = [
        f"{key} {before.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise UserError(
            f"a continued training must have the settings it began with, {run_dir} has others: {'; '.join(changed)}; "
            "give the same, or name another --run-dir"
        )


def results_dir(run_dir: Path) -> Path:
    """Where commands put what they find out about a run: its folder.

    The reference model's folder belongs to the installation, so what is found out about it goes to `runs/reference`.
    """
    return RUNS / REFERENCE.name if is_reference(run_dir) else run_dir


def load_model(run_dir: Path) -> "keras.Model":
    """Loads a run's model on the current Keras backend.

    Raises:
        UserError: Where the file is missing, damaged, or does not fit the manifest.
    """
    manifest = load_manifest(run_dir)
    import keras  # noqa: PLC0415 -- see above

    from cxr_keras3.model import backbones  # noqa: PLC0415 -- imports Keras

    backbones.import_provider(manifest.config["backbone"])
    try:
        model = keras.models.load_model(run_dir / MODEL, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run_dir / MODEL} cannot be loaded ({error}); restore it or train again") from error
    expected = ((None, *manifest.input["shape"]), (None, len(manifest.class_names)))
    if (model.input_shape, model.output_shape) != expected:
        raise UserError(f"{run_dir / MODEL} must map {expected}, it maps {model.input_shape, model.output_shape}")
    return model
