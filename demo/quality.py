"""How good is it? The run's own evaluation as a page; nothing on it is typed in by hand. Without Gradio.

Curves, floors and words are those of `cxr_keras3.report`; what is here draws them as SVG in the page's own colours.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError
from cxr_keras3.report import texts
from cxr_keras3.run.folder import EVALUATION, REPORT, Run
from cxr_keras3.run.metrics import Metrics, Reliability
from cxr_keras3.statistics.figures import Figure
from demo.pages import page

HEADLINES = ("accuracy", "balanced_accuracy", "macro_auroc", "expected_calibration_error")
PLOT = 240
"""Side of the curves' square, in the units of their SVG."""
_CURVE_POINTS = 200


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: its count, its share of the row, and whether it holds right answers."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class ConfusionRow:
    """A true class and its cells."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Line:
    """A curve as SVG writes it, and the figure that sums it up."""

    name: str
    points: str
    figure: Figure


@dataclass(frozen=True)
class Dot:
    """A bin of the reliability curve as a circle, sized by its films."""

    x: str
    y: str
    r: str
    films: int


@dataclass(frozen=True)
class DottedLine:
    """A reliability curve."""

    name: str
    points: str
    dots: tuple[Dot, ...]


def render(run: Run, index: int = 0) -> str:
    """The page, as HTML; one sentence where the run was never evaluated.

    Args:
        run: The run.
        index: Its number among those that are served.

    Raises:
        UserError: Where the evaluation's tables are missing or damaged.
    """
    metrics = run.metrics
    if metrics is None:
        return page("not_evaluated.html").render(run=run)
    calibration = metrics.calibration
    return page("quality.html").render(
        run=run,
        index=index,
        metrics=metrics,
        headlines={name: texts.HEADLINES[name] for name in HEADLINES},
        verdict=texts.VERDICTS[metrics.audit.verdict],
        floors=texts.accuracy_bars(metrics),
        operating_point=texts.operating_point(metrics),
        confusion=_confusion(metrics.confusion_matrix, run.class_names),
        roc=_roc(run, metrics),
        reliability=[
            _reliability("before temperature scaling", calibration.before.reliability),
            _reliability("as served", calibration.after.reliability),
        ],
        plot=PLOT,
    )


def report(run: Run) -> str:
    """The full report, as HTML: the run's own, or drawn of its figures where it comes without, as the reference model.

    Raises:
        UserError: Where the run was never evaluated.
    """
    path = run.folder / EVALUATION / REPORT
    if path.exists():
        return path.read_text(encoding="utf-8")
    if run.metrics is None:
        raise UserError(f"a report needs an evaluation, the run {run.name} has none; run python -m cxr_keras3.evaluate")
    from cxr_keras3.report.pages import write_report  # noqa: PLC0415 -- Matplotlib takes a second

    scored = run.predictions
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / REPORT
        write_report(
            drawn, run.metrics, run.manifest, labels=scored.labels, probabilities=scored.probabilities, films=()
        )
        return drawn.read_text(encoding="utf-8")


def _confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> list[ConfusionRow]:
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        total = max(1, sum(counts))
        cells = tuple(Cell(count, count / total, names[index] == name) for index, count in enumerate(counts))
        rows.append(ConfusionRow(name, cells))
    return rows


def _roc(run: Run, metrics: Metrics) -> list[Line]:
    from cxr_keras3.report.curves import roc_curves  # noqa: PLC0415 -- takes a second, and the page is not always opened

    scored = run.predictions
    curves = roc_curves(scored.labels, scored.probabilities, run.class_names)
    return [Line(curve.name, _points(curve.x, curve.y), metrics.by_class[curve.name].auroc) for curve in curves]


def _reliability(name: str, curve: Reliability) -> DottedLine:
    most = max(curve.images)
    dots = tuple(
        Dot(f"{PLOT * x:.1f}", f"{PLOT * (1 - y):.1f}", f"{2 + 8 * (films / most) ** 0.5:.1f}", films)
        for x, y, films in zip(curve.confidence, curve.accuracy, curve.images, strict=True)
    )
    return DottedLine(name, _points(np.array(curve.confidence), np.array(curve.accuracy)), dots)


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    """A line through points of 0..1 as SVG writes it, y upwards, thinned where there are many."""
    chosen = np.unique(np.linspace(0, len(x) - 1, _CURVE_POINTS).round().astype(int))
    return " ".join(f"{PLOT * x[i]:.1f},{PLOT * (1 - y[i]):.1f}" for i in chosen)
