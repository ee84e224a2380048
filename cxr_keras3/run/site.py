"""A site profile: what `commission` found out about one hospital, and what an answer there changes by."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.calibration import Calibration, check

SCHEMA_VERSION = 1
FILE = "site.json"
Verdict = Literal["as is", "adapted", "recalibrated", "do not use"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a measure of the site's films lies from the films that the run was validated on.

    Attributes:
        statistic: Of the two-sample Kolmogorov-Smirnov test, 0..1.
        p_value: Of the same, 0..1.
    """

    statistic: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Site:
    """What `site.json` says.

    Attributes:
        schema_version: The file's own version, `SCHEMA_VERSION`.
        name: The site's name, as the folder is called.
        run: Name of the run that it was commissioned for.
        fingerprint: Of that run.
        created: ISO 8601 in UTC.
        films: Number of films that were accepted.
        refused: Number of films that were not.
        labelled: Number of films with a label.
        differences: Measure to its difference.
        unlike: Share of the films that are further from the training films than 99 of 100 validation films, 0..1.
        offset: Added to the logit of abnormal of each film here.
        abnormal_share: Estimated share of abnormal films, 0..1; None where labels say it.
        calibration: The run's, or one fitted on the labelled films.
        vouched: Classes that the labelled films show beside normal ones, enough to name them here.
        verdict: What the site gets.
        reasons: Why, a line each.
    """

    schema_version: int
    name: str
    run: str
    fingerprint: str
    created: str
    films: int
    refused: int
    labelled: int
    differences: dict[str, Difference]
    unlike: float
    offset: float
    abnormal_share: float | None
    calibration: Calibration
    vouched: tuple[str, ...]
    verdict: Verdict
    reasons: tuple[str, ...]


def read(path: Path, *, run: Path, fingerprint: str) -> Site:
    """Reads a site profile.

    Args:
        path: The file, or the folder that holds it as `site.json`.
        run: Folder of the run that is to answer there.
        fingerprint: Of that run.

    Raises:
        UserError: Where it is missing, damaged, of another version or another run, or says not to use the run there.
    """
    file = path / FILE if path.is_dir() else path
    remedy = f"commission the site: python -m cxr_keras3.commission {run} FILMS --output {path}"
    if not file.is_file():
        raise UserError(f"--site must be a folder that commissioning wrote, {path} is not; {remedy}")
    found = records.read(file, Site, version=SCHEMA_VERSION, remedy=remedy)
    try:
        check(found.calibration)
        if not math.isfinite(found.offset):
            raise ValueError("the offset must be a number")  # noqa: TRY301 -- like the others
    except ValueError as error:
        raise UserError(f"{file} is not a site profile ({error}); {remedy}") from error
    if found.fingerprint != fingerprint:
        raise UserError(f"{file} was made for the run {found.run} as it was then, not for {run}; {remedy}")
    if found.verdict == "do not use":
        raise UserError(f"{file} says not to use this run there: {'; '.join(found.reasons)}")
    return found
