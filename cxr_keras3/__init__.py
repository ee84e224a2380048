"""Transfer learning on the COVID-19 Radiography Database with Keras 3.

Importing this package imports nothing else: Keras reads `KERAS_BACKEND` once, when it is
first imported, so each command parses its arguments, calls `cxr_keras3.backend.selection.select`,
and only then imports the modules that need Keras.
"""

__version__ = "0.1.0"
