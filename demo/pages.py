"""The demo's templates and static files."""

from pathlib import Path

import jinja2

from cxr_keras3 import __version__

NOTICE = "Not a medical device. For research only; never decide on a patient's care by it."
SPACE = "\N{NO-BREAK SPACE}"
_STATIC = Path(__file__).parent / "static"
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("demo"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(name: str) -> jinja2.Template:
    """A template, whose values are all escaped: file names and DICOM fields come from strangers."""
    return _ENVIRONMENT.get_template(name)


def static(name: str) -> str:
    """A style sheet or script."""
    return (_STATIC / name).read_text(encoding="utf-8")


def percent(share: float) -> str:
    """A share as a reader wants it: "97.3 %"; the ends are kept apart from certainty."""
    if share > 0.999:
        return f">{SPACE}99.9{SPACE}%"
    return f"<{SPACE}0.1{SPACE}%" if share < 0.001 else f"{100 * share:.1f}{SPACE}%"


def interval(figure: dict[str, float | None], *, scale: float = 1.0, digits: int = 3) -> str:
    """A figure with its interval: "0.892 (0.868 to 0.915)"."""
    if figure["value"] is None:
        return "undefined"
    value, low, high = (scale * (figure[key] or 0.0) for key in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


_ENVIRONMENT.filters |= {"percent": percent, "interval": interval, "words": lambda text: text.replace("_", " ")}
_ENVIRONMENT.globals |= {"notice": NOTICE, "version": __version__}
