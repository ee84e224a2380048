"""Renders the report and the model card from what was measured."""

from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np

from cxr_keras3.evaluation import mistakes
from cxr_keras3.evaluation.scoring import Outputs
from cxr_keras3.evaluation.verdict import CUES
from cxr_keras3.report import checklists, plots
from cxr_keras3.run import artifact
from cxr_keras3.statistics import metrics
from cxr_keras3.training import data

EXPLANATIONS = {
    "largest_class": "always the most frequent class",
    "source_oracle": "knows the collection an image comes from, and nothing else",
    "border_only": "logistic regression on the outer 6 pixels of a 64 x 64 thumbnail: no lung in sight",
    "thumbnail": "logistic regression on a 32 x 32 thumbnail",
    "image_statistics": "logistic regression on mean, spread, skew, percentiles and entropy of the grey levels",
}


def render(
    results: Mapping[str, Any],
    manifest: artifact.Manifest,
    *,
    examples: data.Split,
    outputs: Outputs,
    probabilities: np.ndarray,
) -> str:
    """The report as one HTML page with its pictures inside.

    Args:
        results: What metrics.json holds.
        manifest: The run's.
        examples: The split.
        outputs: What the model gives for it.
        probabilities: Calibrated, float (N, classes).
    """
    labels, names = examples.labels, manifest.class_names
    regions = results["audit"]["regions"]
    model_bar = {"the model": results["accuracy"]}
    pictures = {
        **_curves(results, labels, outputs.logits, probabilities, names),
        "floors": plots.bars(model_bar | results["floors"], xlabel="accuracy"),
        "regions": plots.bars(
            regions["balanced_accuracy"], xlabel="balanced accuracy", line=regions["chance"], line_name="chance"
        )
        if regions["images"]
        else None,
    }
    gallery = [
        {
            **row,
            "picture": plots.film(examples.images[index], outputs.maps[index, :, :, probabilities[index].argmax()]),
        }
        for index, row in zip(
            mistakes.most_confident(labels, probabilities), results["errors"]["most_confident"], strict=True
        )
    ]
    return template("report.html").render(
        results=results,
        manifest=manifest,
        pictures=pictures,
        gallery=gallery,
        explanations=EXPLANATIONS,
        cues=CUES,
        claim=checklists.CLAIM,
        tripod_ai=checklists.TRIPOD_AI,
    )


def render_external(
    results: Mapping[str, Any],
    manifest: artifact.Manifest,
    *,
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: np.ndarray,
) -> str:
    """The page for images from elsewhere, with the run's own figures beside theirs."""
    return template("external.html").render(
        results=results,
        manifest=manifest,
        pictures=_curves(results, labels, logits, probabilities, manifest.class_names),
        headlines=metrics.HEADLINES,
    )


def _curves(
    results: Mapping[str, Any],
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: np.ndarray,
    names: tuple[str, ...],
) -> dict[str, str | None]:
    """The pictures that any labelled images give; no ROC and precision-recall curve of a single class."""
    several = len(np.unique(labels)) > 1
    return {
        "confusion_matrix": plots.confusion_matrix(results["confusion_matrix"], names),
        "roc": plots.roc(labels, probabilities, names) if several else None,
        "precision_recall": plots.precision_recall(labels, probabilities, names) if several else None,
        "reliability": plots.reliability(labels, metrics.softmax(logits), probabilities),
        "answered": plots.answered(results["accuracy_by_share_answered"]),
    }


def model_card(results: Mapping[str, Any], manifest: artifact.Manifest) -> str:
    """The run's README.md in the form that the Hugging Face hub reads: a YAML header, then Markdown."""
    return template("model_card.md").render(results=results, manifest=manifest)


def template(name: str) -> jinja2.Template:
    """A page's template, with the filters that format figures."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cxr_keras3.report"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure_text
    environment.filters["percent"] = percent_text
    environment.filters["words"] = lambda text: text.replace("_", " ")
    return environment.get_template(name)


def figure_text(figure: Mapping[str, float | None], digits: int = 3) -> str:
    """A figure with its interval, for example "0.892 (0.868 to 0.915)"."""
    if figure["value"] is None:
        return "undefined"
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"


def percent_text(figure: Mapping[str, float | None], digits: int = 0) -> str:
    """A share with its interval in per cent, for example "89 % (87 to 92)"."""
    if figure["value"] is None:
        return "undefined"
    value, low, high = (
        100 * number for number in (figure["value"], figure["low"], figure["high"]) if number is not None
    )
    return f"{value:.{digits}f} % ({low:.{digits}f} to {high:.{digits}f})"
