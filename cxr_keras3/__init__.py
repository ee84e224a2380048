"""Transfer learning on the COVID-19 Radiography Database with Keras 3.

>>> from cxr_keras3 import load
>>> predictor = load()  # the reference model, which comes with the package; or load("runs/mine")
>>> predictor.run.class_names
('COVID', 'Lung_Opacity', 'Normal', 'Viral Pneumonia')

Importing this package imports nothing else, and `load` is looked up when it is asked for. Keras reads `KERAS_BACKEND`
once, when it is first imported, so each command parses its arguments, selects the backend, and only then imports Keras.
"""

from typing import TYPE_CHECKING

from cxr_keras3.base.version import __version__

if TYPE_CHECKING:
    from cxr_keras3.serving import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> object:
    """Finds `load`, and imports what it needs only then (PEP 562)."""
    if name == "load":
        from cxr_keras3.serving import load  # noqa: PLC0415 -- see above

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
