"""The templates' environment: one for the report and for the demo, which adds its own templates."""

import jinja2

from cxr_keras3.statistics.figures import Figure

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def environment(*packages: str) -> jinja2.Environment:
    """Makes an environment whose values are all escaped in HTML: file names and DICOM fields come from strangers.

    Args:
        packages: Packages with a folder `templates`, looked into in this order.
    """
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "figure": Figure.text,
        "figure_percent": Figure.percent,
        "percent": percent,
        "words": lambda text: text.replace("_", " "),
    }
    return made


def percent(share: float) -> str:
    """A share as a reader wants it: "97.3 %"; the ends are kept apart from certainty."""
    if share > 0.999:
        return f">{NO_BREAK_SPACE}99.9{NO_BREAK_SPACE}%"
    if share < 0.001:
        return f"<{NO_BREAK_SPACE}0.1{NO_BREAK_SPACE}%"
    return f"{100 * share:.1f}{NO_BREAK_SPACE}%"
