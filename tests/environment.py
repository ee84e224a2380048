"""What the tests, and the processes that they start, find in the environment; imported before Keras is."""

import atexit
import os
import shutil
import tempfile


def _own_folder(variable: str, prefix: str) -> None:
    folder = os.environ[variable] = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
_own_folder("XDG_CACHE_HOME", "cxr_keras3_cache")  # commands must not fill the user's own
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # of one session, whose processes compile the same networks
    _own_folder("JAX_COMPILATION_CACHE_DIR", "cxr_keras3_compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
