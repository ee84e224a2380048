"""Evaluating a run on a split or on anybody's images, and comparing two runs."""

from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE
from cxr_keras3.evaluation import collections, comparison, describe, evaluate, external
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.report import pages
from cxr_keras3.run.collections import COLLECTIONS
from cxr_keras3.run.external import FOLDER
from cxr_keras3.run.folder import EVALUATION, MODEL_CARD, REPORT, Run
from cxr_keras3.training import data
from tfds_cxr import reading
from tfds_cxr.collections import finding
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def evaluate_split(
    run: Run, *, split: str, sensitivity: float | None, data_dir: Path | None, output: Path | None, runtime: str | None
) -> None:
    """Evaluates a run on a split of the dataset it was trained on, or of a later version, and says what was found.

    Raises:
        UserError: Where the dataset is another, or the calibration of a run not one's own would be written anew.
    """
    if sensitivity is not None:
        run.require_own("--sensitivity writes a run's calibration anew")
    output = output or run.results_folder / (EVALUATION if split == "test" else split)
    builder = reading.find(data_dir)
    run.require_same_files(builder)
    metrics = evaluate(run, builder, split=split, output_dir=output, sensitivity=sensitivity, runtime=runtime)
    progress.say(describe(metrics))
    for reason in metrics.audit.reasons:
        progress.say(f"{reason.level}: {reason.text}")
    progress.say(f"report: {output / REPORT}")


def evaluate_external(
    run: Run, *, images: Path | None, labels: Path | None, output: Path | None, runtime: str | None
) -> int:
    """Evaluates a run on images from elsewhere; returns the exit code, which tells whether all could be read.

    Args:
        run: The run.
        images: A folder for each class; None where `labels` is given.
        labels: A CSV file with the columns path and label.
        output: Folder for the results; a folder in the run's when None.
        runtime: See `cxr_keras3.serving.runtimes.load_runtime`.
    """
    if images is not None:
        source, labelled = images, external.from_folder(images, run.class_names)
    elif labels is not None:
        source, labelled = labels, external.from_table(labels, run.class_names)
    else:
        raise TypeError("images or labels must be given")
    output = output or run.results_folder / f"{FOLDER}{source.stem}"
    found = external.evaluate(run, labelled, output_dir=output, runtime=runtime)
    progress.say(f"{found.images} images: accuracy {found.accuracy.text()}")
    for row in found.unreadable:
        progress.say(f"not read: {row.file}: {row.reason}")
    progress.say(f"report: {output / REPORT}")
    return SOME_FILES_REFUSED_EXIT_CODE if found.unreadable else 0


def evaluate_collections(
    run: Run, names: Sequence[str], *, data_dir: Path | None, output: Path | None, runtime: str | None
) -> None:
    """Evaluates a run on built collections, without what the database holds, and says what was found.

    The model card gets the figures, unless they go to a folder of the caller's own.

    Raises:
        UserError: Where a collection is unknown, not built, or has no film left.
    """
    folder = output or run.results_folder / COLLECTIONS
    builders = [finding.find(name, data_dir) for name in names]
    found = collections.evaluate(run, builders, output_dir=folder, runtime=runtime)
    for row in found.collections:
        progress.say(
            f"{row.title}: {row.films:,} films; left out: {row.left_out.overlaps:,} of the database, "
            f"{row.left_out.of_known_patients:,} of its patients, {row.left_out.trained_on:,} trained on; abnormal "
            f"against normal: AUROC {row.flag.auroc.text(2)}, sensitivity {row.flag.sensitivity.text(2)}, specificity "
            f"{row.flag.specificity.text(2)}; called COVID, of other films: {row.false_covid.text(2)}"
        )
    if output is None and run.metrics:
        pages.write_model_card(run.results_folder / MODEL_CARD, run.metrics, run.manifest, found)
        progress.say(f"model card: {run.results_folder / MODEL_CARD}")
    progress.say(f"report: {folder / REPORT}")


def compare(
    first: Run, second: Run, *, split: str, data_dir: Path | None, output: Path | None, runtime: str | None
) -> None:
    """Compares two runs on a split of the dataset they were trained on, and says what was found."""
    output = output or first.results_folder / EVALUATION / f"against-{second.folder.name}"
    builder = _dataset_of([first, second], data_dir)
    examples = data.load_split(builder, split, showing=Showing.of(first))
    found = comparison.compare((first, second), examples, split=split, output_dir=output, runtime=runtime)
    gain = found.difference.accuracy.defined
    progress.say(
        f"accuracy of {found.runs[1]} less that of {found.runs[0]}: {gain.value:+.3f} ({gain.low:+.3f} to "
        f"{gain.high:+.3f}); McNemar p = {found.mcnemar.p_value:.3g}"
    )
    progress.say(f"comparison: {output / comparison.COMPARISON_PAGE}")


def _dataset_of(runs: list[Run], data_dir: Path | None) -> Builder:
    builder = reading.find(data_dir)
    for run in runs:
        run.require_trained_on(builder)
    return builder
