"""Two runs on the same images: differences with intervals, and whether one is right more often."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation.scoring import Scorer
from cxr_keras3.report import pages
from cxr_keras3.run import artifact, calibration
from cxr_keras3.statistics import metrics
from cxr_keras3.training import data

COMPARISON, COMPARISON_PAGE = "comparison.json", "comparison.html"


def compare(
    run_dirs: tuple[Path, Path],
    examples: data.Split,
    *,
    split: str,
    output_dir: Path,
    runtime: str | None = None,
) -> dict[str, Any]:
    """Scores a split with both runs and writes `comparison.json` and `comparison.html`.

    Args:
        run_dirs: Two run folders, each with its calibration.
        examples: The split that both are scored on.
        split: Its name.
        output_dir: Where the files go; made where missing.
        runtime: What computes, see `Scorer`.

    Returns:
        What was written to `comparison.json`.
    """
    names, scored = [], []
    regions = {artifact.load_manifest(run_dir).region for run_dir in run_dirs}
    if len(regions) > 1:
        raise UserError(
            f"two runs are compared on the same images, these see regions {' and '.join(sorted(regions))}; name others"
        )
    for run_dir in run_dirs:
        calibrated = calibration.load(run_dir / artifact.CALIBRATION)
        scorer = Scorer(run_dir, runtime=runtime)
        names.append(artifact.load_manifest(run_dir).name)
        scored.append(calibrated.probabilities(scorer.run(examples.images, f"scoring with {run_dir.name}").logits))
    results = {
        "runs": names,
        "split": split,
        **paired(scored[0], scored[1], examples.labels, groups=examples.group_ids),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    artifact.write_json(output_dir / COMPARISON, results)
    page = pages.template("comparison.html").render(results=results, headlines=metrics.HEADLINES)
    (output_dir / COMPARISON_PAGE).write_text(page, encoding="utf-8")
    return results


def paired(first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, groups: np.ndarray) -> dict[str, Any]:
    """Figures of two models on the same images, and their differences.

    Both models are drawn the same bootstrap samples, so what makes an image hard for both cancels out. McNemar's
    test (Psychometrika 12, 1947), exact, asks whether the images that only one gets right are split evenly;
    unlike the intervals it counts images, not groups.

    Args:
        first: Probabilities of one model, float (N, classes).
        second: Those of the other.
        labels: int (N,).
        groups: (N,).

    Returns:
        `first`, `second` and `difference` (second less first) for each headline figure, and `mcnemar`.
    """
    statistics = [metrics.headlines(labels, probabilities) for probabilities in (first, second)]

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        one, other = (statistic(weights) for statistic in statistics)
        return {name: other[name] - one[name] for name in one}

    right = [probabilities.argmax(axis=1) == labels for probabilities in (first, second)]
    only_first, only_second = (int((a & ~b).sum()) for a, b in (right, right[::-1]))
    disagreed = only_first + only_second
    return {
        "images": len(labels),
        "first": metrics.bootstrap(statistics[0], groups=groups),
        "second": metrics.bootstrap(statistics[1], groups=groups),
        "difference": metrics.bootstrap(compute, groups=groups),
        "mcnemar": {
            "only_first_right": only_first,
            "only_second_right": only_second,
            "p_value": float(binomtest(only_first, disagreed).pvalue) if disagreed else 1.0,
        },
    }
