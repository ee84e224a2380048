"""What was found of images from elsewhere, and of two runs side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_keras3.base import records
from cxr_keras3.run.folder import METRICS, Run
from cxr_keras3.run.metrics import SCHEMA_VERSION, FlagFigures, Measures
from cxr_keras3.statistics.figures import Figure, Headlines

COMPARISON_SCHEMA_VERSION = 1
"""Of `comparison.json`."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Internal(Headlines):
    """The run's figures on its own test split, beside those of images from elsewhere.

    Attributes:
        split: Of the dataset.
        images: Number of images.
        recall: Class to recall.
        triage: The flag.
    """

    split: str
    images: int
    recall: Mapping[str, Figure]
    triage: FlagFigures


@dataclass(frozen=True, kw_only=True)
class ExternalMetrics(Measures):
    """A run on images from elsewhere: `metrics.json` too.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        run: The run's name.
        split: "external".
        groups: Number of groups: files with the same pixels.
        synthetic: Always false.
        created: ISO 8601 in UTC.
        unreadable: Files that could not be read.
        internal: The run on its own test split; None where it was not evaluated.
    """

    schema_version: int
    run: str
    split: str
    groups: int
    synthetic: bool
    created: str
    unreadable: tuple[Unreadable, ...]
    internal: Internal | None


FOLDER = "external-"
"""How the folders of a run's results begin that hold figures on images from elsewhere; a name follows."""


def found_by(run: Run) -> dict[str, ExternalMetrics]:
    """What `python -m cxr_keras3.evaluate` found of a run on images from elsewhere, by the images' name.

    Raises:
        UserError: Where a record is damaged or of an earlier version.
    """
    found = {}
    for path in sorted(run.results_folder.glob(f"{FOLDER}*/{METRICS}")):
        remedy = f"evaluate on these images again, or delete {path.parent}"
        name = path.parent.name.removeprefix(FOLDER)
        found[name] = records.read(path, ExternalMetrics, version=SCHEMA_VERSION, remedy=remedy)
    return found


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Images that only one of two models gets right, and the exact test's p value."""

    only_first_right: int
    only_second_right: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same images.

    Attributes:
        images: Number of images.
        first: Figures of one.
        second: Figures of the other.
        difference: Second less first.
        mcnemar: Who is right alone.
    """

    images: int
    first: Headlines
    second: Headlines
    difference: Headlines
    mcnemar: McNemar


@dataclass(frozen=True, kw_only=True)
class Comparison(Paired):
    """Two runs on a split: `comparison.json`.

    Attributes:
        schema_version: `COMPARISON_SCHEMA_VERSION`.
        runs: Their names.
        split: Of the dataset.
    """

    schema_version: int
    runs: tuple[str, str]
    split: str
