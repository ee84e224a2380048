"""Versions of the package, and of what a trained model depends on."""

import importlib.metadata

__version__ = "0.1.0"
PACKAGES = ("keras", "jax", "keras-cv", "tensorflow-datasets", "numpy", "scikit-learn", "pillow")


def package_versions() -> dict[str, str]:
    """Versions of the packages that a model depends on, and of this one."""
    return {name: importlib.metadata.version(name) for name in ("cxr_keras3", *PACKAGES)}
