"""The pages about a run, each one file with its pictures inside: report, external report, comparison, model card."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_keras3.base import files
from cxr_keras3.report import plots, texts
from cxr_keras3.report.curves import precision_recall_curves, roc_curves
from cxr_keras3.report.templating import environment
from cxr_keras3.run.collections import CollectionsMetrics
from cxr_keras3.run.external import Comparison, ExternalMetrics
from cxr_keras3.run.manifest import Manifest
from cxr_keras3.run.metrics import Measures, Metrics

_ENVIRONMENT = environment("cxr_keras3.report")
_ENVIRONMENT.globals |= {"headlines": texts.HEADLINES, "floor_words": texts.FLOORS, "cue_words": texts.CUES}

FilmAndMap = tuple[np.ndarray, np.ndarray]
"""A film, uint8 (299, 299, 1), and an activation map of it, float (h, w)."""


def write_report(
    path: Path,
    metrics: Metrics,
    manifest: Manifest,
    *,
    labels: np.ndarray,
    probabilities: np.ndarray,
    films: Sequence[FilmAndMap],
) -> None:
    """Writes the report on a split as an HTML page.

    Args:
        path: Where it goes.
        metrics: What was found.
        manifest: The run's.
        labels: int (N,).
        probabilities: Calibrated, float (N, classes).
        films: Those of `metrics.errors.most_confident`, with the map of the answer given.
    """
    regions = metrics.audit.regions
    pictures = _curves(metrics, labels, probabilities, manifest.class_names) | {
        "floors": plots.bars({bar.name: bar.accuracy for bar in texts.accuracy_bars(metrics)}, xlabel="accuracy"),
        "regions": plots.bars(
            regions.balanced_accuracy, xlabel="balanced accuracy", line=regions.chance, line_name="chance"
        )
        if regions.images
        else None,
    }
    page = _ENVIRONMENT.get_template("report.html").render(
        results=metrics,
        manifest=manifest,
        pictures=pictures,
        films=[plots.film(image, heat) for image, heat in films],
    )
    files.write_text(path, page)


def write_external_report(
    path: Path, metrics: ExternalMetrics, manifest: Manifest, *, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Writes the report on images from elsewhere, with the run's own figures beside theirs, as an HTML page."""
    page = _ENVIRONMENT.get_template("external.html").render(
        results=metrics,
        manifest=manifest,
        pictures=_curves(metrics, labels, probabilities, manifest.class_names),
    )
    files.write_text(path, page)


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes the comparison of two runs as an HTML page."""
    files.write_text(path, _ENVIRONMENT.get_template("comparison.html").render(results=comparison))


def write_collections(path: Path, metrics: CollectionsMetrics) -> None:
    """Writes the figures on whole collections as an HTML page."""
    flagged = {
        f"{row.collection}: {name}": part.flagged for row in metrics.collections for name, part in row.by_label.items()
    }
    pictures = {"flagged": plots.bars(flagged, xlabel="share flagged as abnormal")}
    files.write_text(path, _ENVIRONMENT.get_template("collections.html").render(results=metrics, pictures=pictures))


def write_model_card(path: Path, metrics: Metrics, manifest: Manifest, collections: CollectionsMetrics | None) -> None:
    """Writes the run's README.md in the form that the Hugging Face hub reads: a YAML header, then Markdown.

    Args:
        path: Where it goes.
        metrics: Of the test split.
        manifest: The run's.
        collections: Of films from elsewhere; None where it was not measured on any.
    """
    page = _ENVIRONMENT.get_template("model_card.md").render(
        results=metrics, manifest=manifest, collections=collections
    )
    files.write_text(path, page)


def _curves(
    metrics: Measures, labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, str | None]:
    """The pictures that any labelled images give; no ROC and precision-recall curve of a single class."""
    several = len(np.unique(labels)) > 1
    calibration = metrics.calibration
    return {
        "confusion_matrix": plots.confusion_matrix(metrics.confusion_matrix, names),
        "roc": plots.roc(roc_curves(labels, probabilities, names)) if several else None,
        "precision_recall": plots.precision_recall(precision_recall_curves(labels, probabilities, names))
        if several
        else None,
        "reliability": plots.reliability(calibration.before.reliability, calibration.after.reliability),
        "answered": plots.answered(metrics.accuracy_by_share_answered),
    }
