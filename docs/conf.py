"""How Sphinx builds the documentation: python -m nox -s docs. Why Sphinx: docs/adr/0024."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, os.fspath(ROOT))
os.environ["KERAS_BACKEND"] = "jax"  # the reference imports every module, and Keras reads this once
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from cxr_keras3 import __version__  # noqa: E402 -- the path is set above
from tfds_cxr import collections  # noqa: E402 -- as above

project = "cxr_keras3"
author = "The cxr_keras3 authors"
version = release = __version__
language = "en-GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "docs.directives",
]
exclude_patterns = ["templates"]
templates_path = ["templates"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Notebooks are kept without outputs and run as the pages are built, so that what a page shows is what its cells do now.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds a cell: training on a slow machine

smartquotes_action = "D"  # Sphinx writes two hyphens for a dash
default_role = "py:obj"  # docstrings put names between single backticks
add_module_names = False
autosummary_generate = True
# Each collection's builder is a class Builder that says the same; docs/reference/collections.md lists them.
autosummary_context = {"without_page": {f"tfds_cxr.{name}" for name in collections.NAMES}}
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 70
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # a dataclass's attributes in one list, under their class

html_theme = "furo"
html_title = "cxr_keras3"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c74", "color-brand-content": "#0b5c74"},
    "dark_css_variables": {"color-brand-primary": "#6cc3dc", "color-brand-content": "#6cc3dc"},
}
pygments_style, pygments_dark_style = "friendly", "github-dark"
