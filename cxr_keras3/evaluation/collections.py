"""Measures a run on whole collections: what the database holds is left out, and patients are drawn whole."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation.audit.sources import LEAST_IMAGES
from cxr_keras3.evaluation.audit.subgroups import AGE_BANDS, age_bands
from cxr_keras3.lungs.showing import Row, Showing
from cxr_keras3.report import pages
from cxr_keras3.run import drift
from cxr_keras3.run.answers import Answers, answer
from cxr_keras3.run.calibration import NORMAL
from cxr_keras3.run.collections import (
    SCHEMA_VERSION,
    CollectionMetrics,
    CollectionsMetrics,
    LabelFigures,
    LeftOut,
    Subset,
)
from cxr_keras3.run.folder import METRICS, REPORT, Run
from cxr_keras3.run.metrics import FlagFigures
from cxr_keras3.serving import batches, runtimes
from cxr_keras3.serving.runtimes import Runtime
from cxr_keras3.statistics.bootstrap import Bootstrap, share
from cxr_keras3.statistics.figures import UNDEFINED
from cxr_keras3.statistics.metrics import auroc
from tfds_cxr import reading
from tfds_cxr.collections import records as collection_records
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import CLASSES, UNLABELLED

_CHUNK = 1024  # films in memory at once: 92 MB, and their maps
_COVID = "COVID"
_OVERLAP, _PATIENT, _TRAINED, _READ = "overlap", "patient", "trained", "read"
_ORDER = ["AP", "PA", "F", "M", *AGE_BANDS]


@dataclass(frozen=True, eq=False)
class _Scored:
    """Films of a collection, and what the run says of them; all of length N."""

    rows: list[Mapping[str, Any]]
    answers: Answers
    flags: np.ndarray
    refused: np.ndarray
    distances: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def texts(self, name: str) -> np.ndarray:
        return np.array([row[name].decode() for row in self.rows], dtype=np.str_)


def evaluate(
    run: Run, builders: Iterable[CollectionBuilder], *, output_dir: Path, runtime: str | None = None
) -> CollectionsMetrics:
    """Scores collections, and writes `report.html` and, last, `metrics.json`.

    Args:
        run: The run, calibrated.
        builders: The built collections.
        output_dir: Where the files go; made where missing.
        runtime: See `runtimes.load_runtime`.

    Raises:
        UserError: Where the run is not calibrated, or a collection has no film left.
    """
    run.required_calibration  # noqa: B018 -- asked for before anything is read
    model = runtimes.load_runtime(run, runtime, precision="float32")
    measured = [(_measured(run, model, builder), builder) for builder in builders]
    found = CollectionsMetrics(
        schema_version=SCHEMA_VERSION,
        run=run.name,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        fingerprints=min(builder.info.metadata["fingerprints"] for _, builder in measured),
        internal=_internal(run),
        collections=tuple(metrics for metrics, _ in measured),
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / METRICS).unlink(missing_ok=True)
    pages.write_collections(output_dir / REPORT, found)
    records.write(output_dir / METRICS, found)
    return found


def _internal(run: Run) -> FlagFigures | None:
    if run.metrics is None:
        return None
    found = run.metrics.triage
    return FlagFigures(auroc=found.auroc, sensitivity=found.sensitivity, specificity=found.specificity)


def _measured(run: Run, model: Runtime, builder: CollectionBuilder) -> CollectionMetrics:
    counts: Counter[str] = Counter()
    rows = Showing.of(run).shown(_unknown(run, builder, counts))
    scored = _scored(run, model, rows, name=builder.COLLECTION.name)
    groups, predicted = scored.groups, scored.answers.predicted
    called = predicted == run.class_names.index(_COVID)
    others = ~np.isin(scored.labels, (CLASSES.index(_COVID), CLASSES.index(UNLABELLED)))
    abnormal = predicted != run.class_names.index(NORMAL)
    withheld = np.array([bool(reason) for reason in scored.answers.withheld])
    return CollectionMetrics(
        collection=builder.COLLECTION.name,
        title=builder.COLLECTION.title,
        films=len(groups),
        groups=len(np.unique(groups)),
        left_out=LeftOut(
            overlaps=counts[_OVERLAP],
            of_known_patients=counts[_PATIENT],
            trained_on=counts[_TRAINED],
            without_lungs=counts[_READ] - len(groups),
        ),
        flag=_flag(scored, np.ones(len(groups), dtype=bool)),
        by_label=_by_label(run, scored, called, withheld),
        false_covid=share(called[others], groups=groups[others]),
        withheld=share(withheld[abnormal], groups=groups[abnormal]),
        refused=share(scored.refused, groups=groups) if run.gate else None,
        unlike=share(drift.unlike(run.gate, scored.distances), groups=groups) if run.gate else None,
        differences=drift.differences(
            run, distances=run.gate.relative(scored.distances), scores=scored.answers.abnormal_scores
        )
        if run.gate
        else {},
        by=_by(scored, called),
    )


def _unknown(run: Run, builder: CollectionBuilder, counts: Counter[str]) -> Iterator[Row]:
    """The films that neither the database nor the run's training holds, nor others of their group; counts the rest."""
    trained = run.manifest.collection_patients
    for split in builder.info.splits:
        for row in reading.read(builder, split):
            group = row["group_id"].decode()
            if row["overlaps"]:
                counts[_OVERLAP] += 1
            elif group in collection_records.database_groups():
                counts[_PATIENT] += 1
            elif split != "test" and group.partition(":")[0] in trained:
                counts[_TRAINED] += 1
            else:
                counts[_READ] += 1
                yield row


def _scored(run: Run, model: Runtime, shown: Iterator[tuple[Row, np.ndarray]], *, name: str) -> _Scored:
    rows: list[Mapping[str, Any]] = []
    logits, features, distances, refused = [], [], [], []
    while chunk := list(islice(shown, _CHUNK)):
        films = np.stack([image for _, image in chunk])
        found = batches.run(model, films, task=f"scoring {name}")
        logits.append(found.logits)
        features.append(found.features)
        distances.append(run.gate.distances(found.features) if run.gate else np.zeros(len(films), np.float32))
        reasons = run.gate.reasons(films, distances[-1]) if run.gate else [""] * len(films)
        refused += [bool(reason) for reason in reasons]
        rows += [{key: value for key, value in row.items() if key != "image"} for row, _ in chunk]
    if not rows:
        raise UserError(
            f"a collection must hold films that neither the database nor the run's training does, {name} holds none; "
            "name another collection"
        )
    answers = answer(run, np.concatenate(logits), np.concatenate(features))
    if answers.flags is None:
        raise ValueError("the run must be calibrated")
    return _Scored(
        rows=rows,
        answers=answers,
        flags=answers.flags,
        refused=np.array(refused, dtype=bool),
        distances=np.concatenate(distances),
        labels=np.array([row["label"] for row in rows], dtype=np.int64),
        groups=np.array([row["group_id"].decode() for row in rows], dtype=np.str_),
    )


def _by_label(run: Run, scored: _Scored, called: np.ndarray, withheld: np.ndarray) -> dict[str, LabelFigures]:
    found = {}
    for index in np.unique(scored.labels):
        part, name = scored.labels == index, CLASSES[index]
        groups = scored.groups[part]
        known = name in run.class_names
        found[name] = LabelFigures(
            films=int(part.sum()),
            flagged=share(scored.flags[part], groups=groups),
            recall=share((scored.answers.predicted == run.class_names.index(name))[part], groups=groups)
            if known
            else None,
            called_covid=share(called[part], groups=groups),
            named_covid=share((called & ~withheld)[part], groups=groups),
        )
    return found


def _by(scored: _Scored, called: np.ndarray) -> dict[str, dict[str, Subset]]:
    """Figures within view, age and sex, of values that enough films have."""
    attributes = {
        "view": scored.texts("view"),
        "age": age_bands(np.array([row["age"] for row in scored.rows])),
        "sex": scored.texts("sex"),
    }
    found: dict[str, dict[str, Subset]] = {}
    for name, column in attributes.items():
        for value in sorted(map(str, np.unique(column)), key=lambda value: _ORDER.index(value) if value else -1):
            part = column == value
            if value and part.sum() >= LEAST_IMAGES:
                found.setdefault(name, {})[value] = Subset(
                    films=int(part.sum()),
                    flag=_flag(scored, part),
                    called_covid=share(called[part], groups=scored.groups[part]),
                )
    return found


def _flag(scored: _Scored, part: np.ndarray) -> FlagFigures:
    """Abnormal against normal of those films that have a label."""
    part = part & (scored.labels != CLASSES.index(UNLABELLED))
    abnormal = scored.labels[part] != CLASSES.index(NORMAL)
    groups, flags = scored.groups[part], scored.flags[part]
    several = 0 < abnormal.sum() < len(abnormal)
    return FlagFigures(
        auroc=Bootstrap(groups).figure(auroc(abnormal, scored.answers.abnormal_scores[part])) if several else UNDEFINED,
        sensitivity=share(flags[abnormal], groups=groups[abnormal]),
        specificity=share(~flags[~abnormal], groups=groups[~abnormal]),
    )
