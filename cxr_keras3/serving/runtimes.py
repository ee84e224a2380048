"""Runtimes: OpenVINO on a run's export, without Keras, or Keras on the run's model."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cxr_keras3.backend import openvino_graph, selection
from cxr_keras3.backend.openvino_graph import InferencePrecision, OpenVINOGraph
from cxr_keras3.backend.selection import RUNTIMES
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.run.parity import Parity
from cxr_keras3.serving.outputs import Outputs

Images = npt.NDArray[np.uint8]


class Runtime(Protocol):
    """Runs the serving graph. Safe to use from several threads.

    Attributes:
        description: Runtime and device, in words, for logs.
    """

    description: str

    def in_flight(self, batch_size: int) -> int:
        """Batches of this size worth starting before the first is waited for."""
        ...

    def start(self, images: Images) -> Callable[[], Outputs]:
        """Starts on uint8 (B, 299, 299, 1) and returns at once; calling what it returns waits for the outputs.

        Every new B is compiled anew, so callers keep to a few.
        """
        ...


def default(run: Run) -> str:
    """OpenVINO where the run has been exported to it, else the Keras backend of the environment, else JAX."""
    return "openvino" if run.export_folder("openvino").is_dir() else os.environ.get("KERAS_BACKEND", "jax")


def choose_precision(parity: Parity) -> InferencePrecision:
    """Bfloat16 where the processor has it and the export's own figures allow it, else float32."""
    allowed = parity.bfloat16 is not None and parity.bfloat16.decides_alike
    return "bfloat16" if allowed and openvino_graph.processor_has_bfloat16() else "float32"


class OpenVINORuntime:
    """Runs an export to OpenVINO."""

    def __init__(self, folder: Path, precision: InferencePrecision) -> None:
        self.description = f"OpenVINO in {precision}"
        self._folder = folder
        self._graph = OpenVINOGraph(folder, precision)
        self.in_flight = self._graph.in_flight

    def start(self, images: Images) -> Callable[[], Outputs]:
        """See `Runtime.start`."""
        wait = self._graph.start(images)

        def named() -> Outputs:
            try:
                return Outputs.named(wait())
            except (KeyError, RuntimeError) as error:
                raise UserError(
                    f"{self._folder} does not hold the graph of a run ({error}); export it again"
                ) from error

        return named


class FunctionRuntime:
    """Runs a function, one batch at a time."""

    def __init__(self, compute: Callable[[Images], Mapping[str, Any]], description: str) -> None:
        """Wraps a function.

        Args:
            compute: Takes uint8 (B, 299, 299, 1); gives arrays or tensors by the names that graphs use.
            description: Runtime and device, in words.
        """
        self.description = description
        self._compute = compute
        self._lock = threading.Lock()

    def in_flight(self, batch_size: int) -> int:  # noqa: ARG002 -- the same for all
        """See `Runtime.in_flight`."""
        return 1

    def start(self, images: Images) -> Callable[[], Outputs]:
        """See `Runtime.start`."""
        with self._lock:
            found = Outputs.named(self._compute(images))
        return lambda: found


def _load_keras(run: Run, backend: str) -> FunctionRuntime:
    """Keras on the run's own model."""
    selection.select(backend)
    from cxr_keras3.serving import graph  # noqa: PLC0415 -- imports Keras

    description = f"Keras on {backend} (the export to OpenVINO starts and scores faster)"
    return FunctionRuntime(
        graph.build_graph(run.load_model(), temperature=run.temperature).predict_on_batch, description
    )


def load_runtime(run: Run, name: str | None = None, *, precision: InferencePrecision | None = None) -> Runtime:
    """Loads a run's runtime.

    Args:
        run: The run.
        name: One of `RUNTIMES`; see `default` when None. Keras runs on one backend a process.
        precision: What OpenVINO computes in; see `choose_precision` when None.

    Raises:
        UserError: Where the runtime is unknown or not installed, or the run lacks the files it needs.
    """
    name = name or default(run)
    if name not in RUNTIMES:
        raise UserError(f"the runtime must be one of {', '.join(RUNTIMES)}, received {name!r}")
    if name != "openvino":
        return _load_keras(run, name)
    parity = run.parity(name)
    if parity is None:
        raise UserError(
            f"the runtime openvino needs a run exported to OpenVINO, {run.folder} is not; "
            f"run python -m cxr_keras3.export {run.folder} --format openvino"
        )
    return OpenVINORuntime(run.export_folder(name), precision or choose_precision(parity))
