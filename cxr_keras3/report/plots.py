"""The report's pictures, as data URIs, so that the page is one file."""

import base64
import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay

from cxr_keras3.report.curves import Curve
from cxr_keras3.report.texts import THE_MODEL
from cxr_keras3.run.metrics import Reliability
from cxr_keras3.serving import heat_maps
from cxr_keras3.statistics.figures import Figure

COLOURS = ("#1f6fb4", "#d1662b", "#3a8f4d", "#8a5ab0")
INK = "#1b2a3a"


def confusion_matrix(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Counts and shares of the true class, shaded by the latter."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _canvas(5.6, 4.6)
    display = ConfusionMatrixDisplay(shares, display_labels=names)
    display.plot(ax=axes, include_values=False, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else INK
        text = f"{count}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(labelsize=8)
    return _svg(figure)


def roc(curves: Sequence[Curve]) -> str:
    """One curve a class, against the rest."""
    figure, axes = _canvas(4.4, 4.2)
    axes.plot([0, 1], [0, 1], color="#9fb0bf", linewidth=0.8)
    _draw(axes, curves)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    return _svg(figure)


def precision_recall(curves: Sequence[Curve]) -> str:
    """One curve a class, against the rest."""
    figure, axes = _canvas(4.4, 4.2)
    _draw(axes, curves)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    return _svg(figure)


def reliability(before: Reliability, after: Reliability) -> str:
    """Accuracy against confidence in equal bins, before and after the temperature; points are sized by images."""
    figure, axes = _canvas(4.4, 4.2)
    axes.plot([0, 1], [0, 1], color="#9fb0bf", linewidth=0.8)
    for curve, name, colour in ((before, "before", COLOURS[1]), (after, "after", COLOURS[0])):
        axes.plot(curve.confidence, curve.accuracy, color=colour, linewidth=1, label=f"{name} temperature scaling")
        sizes = 200 * np.array(curve.images) / max(curve.images)
        axes.scatter(curve.confidence, curve.accuracy, s=sizes, color=colour, alpha=0.5)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8)
    return _svg(figure)


def answered(rows: Mapping[str, Figure]) -> str:
    """Accuracy against the share of images answered, with its interval."""
    figure, axes = _canvas(4.4, 4.2)
    shares = [float(share) for share in rows]
    bounds = [row.defined for row in rows.values()]
    low, high = [each.low for each in bounds], [each.high for each in bounds]
    axes.fill_between(shares, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(shares, [each.value for each in bounds], color=COLOURS[0], marker="o")
    axes.set(xlabel="share answered, the surest first", ylabel="accuracy", xlim=(1.0, 0.48))
    return _svg(figure)


def bars(rows: Mapping[str, Figure], *, xlabel: str, line: float | None = None, line_name: str = "") -> str:
    """Figures with intervals as horizontal bars, by name, the first on top; a line marks what to compare them with."""
    figure, axes = _canvas(6.4, 0.6 + 0.36 * len(rows))
    bounds = [row.defined for row in rows.values()]
    values = np.array([each.value for each in bounds])
    ends = np.array([[each.low, each.high] for each in bounds]).T
    colours = [COLOURS[1] if name == THE_MODEL else COLOURS[0] for name in rows]
    axes.barh(range(len(rows)), values, color=colours, height=0.62)
    axes.errorbar(values, range(len(rows)), xerr=np.abs(ends - values), fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows], fontsize=9)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel)
    if line is not None:
        axes.axvline(line, color="#c22", linewidth=1, linestyle="--")
        axes.annotate(
            line_name,
            (line, 1.0),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            color="#c22",
            ha="center",
            va="bottom",
        )
    return _svg(figure)


def film(image: np.ndarray, heat: np.ndarray) -> str:
    """A film, uint8 (299, 299, 1), and beside it the same under its activation map, float (h, w)."""
    grey = np.repeat(image, 3, axis=2)
    pair = np.concatenate([grey, heat_maps.overlay(image[..., 0], heat)], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pair).resize((360, 180), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=85)
    return _uri(buffer.getvalue(), "image/jpeg")


def _draw(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve in curves:
        axes.plot(curve.x, curve.y, color=COLOURS[curve.index % len(COLOURS)], label=curve.name)
    axes.legend(fontsize=8)


def _canvas(width: float, height: float) -> tuple[matplotlib.figure.Figure, Axes]:
    figure = matplotlib.figure.Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: matplotlib.figure.Figure) -> str:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cxr_keras3"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _uri(buffer.getvalue(), "image/svg+xml")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
