"""Measures a run on a split of its dataset and writes predictions, a report, the model card and, last, the metrics."""

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import mistakes
from cxr_keras3.evaluation.audit import audit, floors, masks
from cxr_keras3.evaluation.audit.subgroups import Probed
from cxr_keras3.evaluation.measures import measure
from cxr_keras3.evaluation.unseen import unseen
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.report import pages
from cxr_keras3.run import abnormality, calibration
from cxr_keras3.run.answers import Answers, answer
from cxr_keras3.run.audit import Audit, Floor
from cxr_keras3.run.folder import METRICS, MODEL_CARD, PREDICTIONS, REPORT, Run
from cxr_keras3.run.metrics import SCHEMA_VERSION, Errors, Metrics, Timing
from cxr_keras3.run.predictions import write_predictions
from cxr_keras3.serving import batches, runtimes
from cxr_keras3.serving.outputs import Outputs
from cxr_keras3.statistics.metrics import softmax
from cxr_keras3.training import data
from cxr_keras3.training.mixture import Mixture
from tfds_cxr.tfds_cxr_dataset_builder import Builder


class _Model:
    """A run's model in float32, and the seconds spent in it so far, its compilation included."""

    def __init__(self, run: Run, runtime: str | None) -> None:
        self._runtime = runtimes.load_runtime(run, runtime, precision="float32")
        self.seconds = 0.0

    def outputs(self, images: np.ndarray, task: str) -> Outputs:
        started = time.perf_counter()
        found = batches.run(self._runtime, images, task=task)
        self.seconds += time.perf_counter() - started
        return found

    def predict(self, images: np.ndarray, task: str) -> np.ndarray:
        """See `audit.cues.Predict`; which class is most probable does not depend on a temperature."""
        return softmax(self.outputs(images, task).logits)


def evaluate(
    run: Run,
    builder: Builder,
    *,
    split: str,
    output_dir: Path,
    sensitivity: float | None = None,
    runtime: str | None = None,
) -> Metrics:
    """Scores a split and writes `predictions.csv`, `report.html` and, last, `metrics.json`.

    Evaluating the test split writes the run's model card too.

    Args:
        run: The run; its calibration is fitted on the validation split where it is missing.
        builder: A dataset of the files the run was trained on; where it is of a later version, what the run has seen is
            left out, see `unseen`.
        split: One of `data.SPLITS`.
        output_dir: Where the files go; made where missing.
        sensitivity: Share of abnormal images to flag; the calibration is fitted anew where it aimed at
            another. None keeps it, or takes 0.95.
        runtime: See `runtimes.load_runtime`.
    """
    started = time.perf_counter()
    model = _Model(run, runtime)
    showing = Showing.of(run)
    loaded = data.load_split(builder, split, showing=showing)
    kept = unseen(run, builder, split, loaded)
    examples = loaded.subset(kept)
    probed = _tuned(run, builder, model, sensitivity=sensitivity)
    already = model.seconds
    outputs = model.outputs(examples.images, f"scoring the {split} split")
    scoring_seconds = model.seconds - already
    answers = answer(run, outputs.logits, outputs.features)
    measures = measure(run, outputs.logits, answers, examples.labels, groups=examples.group_ids)
    floor_figures, audited = _audit(
        model,
        run,
        examples,
        outputs,
        train=floors.clues_of_split(builder, "train", showing=showing),
        lungs=masks.load_masks(builder, split, showing=showing).subset(kept),
        probed=None if split == "validation" else probed,  # fitted on what they are scored on, probes would say nothing
        macro_auroc=measures.macro_auroc.value,
    )
    scored = _Scored(examples, outputs, answers)
    errors = _errors(scored, class_names=run.class_names)
    seconds = time.perf_counter() - started
    metrics = Metrics(
        **vars(measures),
        schema_version=SCHEMA_VERSION,
        run=run.name,
        split=split,
        dataset_version=str(builder.version),
        left_out=int((~kept).sum()),
        groups=len(np.unique(examples.group_ids)),
        synthetic=run.manifest.is_synthetic,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        floors=floor_figures,
        audit=audited,
        errors=errors,
        timing=Timing(
            total_seconds=round(seconds, 1),
            model_seconds=round(model.seconds, 1),
            scoring_seconds=round(scoring_seconds, 1),
            share_outside_the_model=round(1 - model.seconds / seconds, 3),
        ),
    )
    _write(metrics, run, scored, output_dir=output_dir)
    return metrics


def _tuned(run: Run, builder: Builder, model: _Model, *, sensitivity: float | None) -> Probed | None:
    """Fits and writes the run's calibration where it must be; gives the validation split as probes see it.

    A run that was trained on an earlier version has been tuned, and may have been trained, on any image of the
    validation split: it keeps its calibration and has no probes.
    """
    if not run.is_split_as(builder):
        if sensitivity is not None:
            raise UserError(
                f"--sensitivity needs images that the run was not trained on, and {run.name} was trained on another "
                "version of the dataset; leave it out, or train again"
            )
        run.required_calibration  # noqa: B018 -- asked for here, so that what is missing is said before anything is scored
        return None
    mixture = Mixture.of(builder, run.manifest.collections)
    validation = mixture.load("validation", showing=Showing.of(run))
    tuned = model.outputs(validation.images, "scoring the validation split")
    refitted = run.abnormality is None
    if refitted:
        run.write_abnormality(data.fit_abnormality(tuned.features, validation))
    calibrated = calibration.adjusted(
        run.calibration,
        tuned.logits,
        abnormality.score(run.required_abnormality.fitted_on),
        validation.labels,
        class_names=run.class_names,
        sensitivity=sensitivity,
        other_scores=refitted,
    )
    if calibrated is not run.calibration:
        run.write_calibration(calibrated)
    return (tuned.features, validation.labels, validation.sources), validation.views


def _audit(
    model: _Model,
    run: Run,
    examples: data.Split,
    outputs: Outputs,
    *,
    train: floors.Clues,
    lungs: masks.Masks,
    probed: Probed | None,
    macro_auroc: float | None,
) -> tuple[dict[str, Floor], Audit]:
    answers = floors.floor_answers(train, floors.clues_of(examples))
    labels, groups = examples.labels, examples.group_ids
    found = floors.floor_figures(answers, labels, groups=groups, class_count=len(run.class_names))
    audited = audit(
        model.predict,
        examples,
        lungs,
        outputs,
        probed=probed,
        floor_answers=answers,
        class_names=run.class_names,
        macro_auroc=macro_auroc,
    )
    return found, audited


@dataclass(frozen=True, eq=False)
class _Scored:
    """A split, what the model gives for it, and what is answered."""

    examples: data.Split
    outputs: Outputs
    answers: Answers

    @property
    def probabilities(self) -> np.ndarray:
        """Calibrated, float64 (N, classes)."""
        return self.answers.probabilities

    @property
    def confident_mistakes(self) -> list[int]:
        """Positions of the images that the report shows."""
        return mistakes.most_confident(self.examples.labels, self.probabilities)


def _write(metrics: Metrics, run: Run, scored: _Scored, *, output_dir: Path) -> None:
    """Writes the files; the metrics last, for a folder that holds them counts as whole."""
    examples, probabilities = scored.examples, scored.probabilities
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / METRICS).unlink(missing_ok=True)
    columns = {"image_id": examples.image_ids, "group_id": examples.group_ids, "source": examples.sources}
    write_predictions(output_dir / PREDICTIONS, columns, examples.labels, scored.answers, class_names=run.class_names)
    maps = scored.outputs.activation_maps
    pages.write_report(
        output_dir / REPORT,
        metrics,
        run.manifest,
        labels=examples.labels,
        probabilities=probabilities,
        films=[
            (examples.images[index], maps[index, :, :, probabilities[index].argmax()])
            for index in scored.confident_mistakes
        ],
    )
    if metrics.split == "test":
        run.results_folder.mkdir(parents=True, exist_ok=True)
        pages.write_model_card(run.results_folder / MODEL_CARD, metrics, run.manifest, run.collections)
    records.write(output_dir / METRICS, metrics)


def _errors(scored: _Scored, *, class_names: tuple[str, ...]) -> Errors:
    labels, groups, image_ids = scored.examples.labels, scored.examples.group_ids, scored.examples.image_ids
    return Errors(
        most_confident=mistakes.confident_mistakes(
            scored.confident_mistakes, labels, scored.probabilities, image_ids=image_ids, class_names=class_names
        ),
        copies_answered_differently=mistakes.copies_answered_differently(
            labels, scored.probabilities.argmax(axis=1), groups, image_ids=image_ids, class_names=class_names
        ),
        likely_label_errors=mistakes.likely_label_errors(
            scored.outputs.features, labels, groups, image_ids=image_ids, class_names=class_names
        ),
    )


def describe(metrics: Metrics) -> str:
    """The headline figures in a line, with what they are worth."""
    shown = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
    figures = metrics.headlines()
    said = ", ".join(
        f"{name.replace('_', ' ')} {figures[name].text()}" for name in shown if figures[name].value is not None
    )
    note = "; the images are synthetic, these figures say nothing of real ones" if metrics.synthetic else ""
    return f"{metrics.split}, {metrics.images} images: {said}{note}; audit: {metrics.audit.verdict}"
