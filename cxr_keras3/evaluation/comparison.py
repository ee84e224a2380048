"""Two runs on the same images: differences with intervals, and whether one is right more often."""

from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.report import pages
from cxr_keras3.run.external import COMPARISON_SCHEMA_VERSION, Comparison, McNemar, Paired
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import batches, runtimes
from cxr_keras3.statistics.bootstrap import Bootstrap, Statistic
from cxr_keras3.statistics.figures import Headlines
from cxr_keras3.statistics.metrics import HEADLINES
from cxr_keras3.training.data import Split

COMPARISON, COMPARISON_PAGE = "comparison.json", "comparison.html"


def compare(
    runs: tuple[Run, Run], examples: Split, *, split: str, output_dir: Path, runtime: str | None = None
) -> Comparison:
    """Scores a split with both runs and writes `comparison.html` and `comparison.json`.

    Args:
        runs: Two runs, each with its calibration.
        examples: The split that both are scored on.
        split: Its name.
        output_dir: Where the files go; made where missing.
        runtime: See `runtimes.load_runtime`.

    Raises:
        UserError: Where the runs see other regions of the images, or one is not calibrated.
    """
    regions = {run.manifest.region for run in runs}
    if len(regions) > 1:
        raise UserError(
            f"two runs are compared on the same images, these see regions {' and '.join(sorted(regions))}; name others"
        )
    scored = []
    for run in runs:
        calibrated = run.required_calibration
        model = runtimes.load_runtime(run, runtime, precision="float32")
        logits = batches.run(model, examples.images, task=f"scoring with {run.folder.name}").logits
        scored.append(calibrated.probabilities(logits))
    found = Comparison(
        **vars(paired(scored[0], scored[1], examples.labels, groups=examples.group_ids)),
        schema_version=COMPARISON_SCHEMA_VERSION,
        runs=(runs[0].name, runs[1].name),
        split=split,
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    pages.write_comparison(output_dir / COMPARISON_PAGE, found)
    records.write(output_dir / COMPARISON, found)
    return found


def paired(first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, groups: np.ndarray) -> Paired:
    """Figures of two models on the same images, and their differences.

    Both models are drawn the same bootstrap samples, so what makes an image hard for both cancels out. McNemar's
    test (Psychometrika 12, 1947), exact, asks whether the images that only one gets right are split evenly;
    unlike the intervals it counts images, not groups.

    Args:
        first: Probabilities of one model, float (N, classes).
        second: Those of the other.
        labels: int (N,).
        groups: (N,).
    """
    samples = Bootstrap(groups)
    one, other = ({name: make(labels, each) for name, make in HEADLINES.items()} for each in (first, second))
    right = [probabilities.argmax(axis=1) == labels for probabilities in (first, second)]
    only_first, only_second = (int((a & ~b).sum()) for a, b in (right, right[::-1]))
    disagreed = only_first + only_second
    return Paired(
        images=len(labels),
        first=_headlines(samples, one),
        second=_headlines(samples, other),
        difference=_headlines(samples, {name: _less(other[name], one[name]) for name in HEADLINES}),
        mcnemar=McNemar(
            only_first_right=only_first,
            only_second_right=only_second,
            p_value=float(binomtest(only_first, disagreed).pvalue) if disagreed else 1.0,
        ),
    )


def _headlines(samples: Bootstrap, statistics: dict[str, Statistic]) -> Headlines:
    return Headlines(**{name: samples.figure(statistic) for name, statistic in statistics.items()})


def _less(one: Statistic, other: Statistic) -> Statistic:
    return lambda weights: one(weights) - other(weights)
