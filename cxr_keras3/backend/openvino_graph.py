"""Graphs that OpenVINO computes on the processor's cores, without Keras."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cxr_keras3.base.errors import UserError

InferencePrecision = Literal["float32", "bfloat16"]
GRAPH = "model.xml"
"""Name of a graph's file; its weights lie beside it."""


def import_openvino() -> Any:  # noqa: ANN401 -- OpenVINO ships no types
    """Imports OpenVINO without the package that, unasked, reports each import to Google Analytics."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if it were not installed
    import openvino  # noqa: PLC0415 -- takes tenths of a second that other runtimes save

    return openvino


def processor_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    openvino = import_openvino()
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOGraph:
    """A graph with one input. Safe to use from several threads."""

    def __init__(self, folder: Path, precision: InferencePrecision) -> None:
        """Finds the graph; it is compiled for a size of batch when that is first asked for.

        Raises:
            UserError: Where the folder holds none.
        """
        openvino = import_openvino()
        # OpenVINO 2026 makes its table of types when it is first asked, and two threads that ask at once wait for
        # one another for ever. So it is asked here, before there are any.
        openvino.Tensor(np.zeros(1, np.uint8)).element_type.to_dtype()
        self._core = openvino.Core()
        self._path = folder / GRAPH
        self._precision = {"float32": "f32", "bfloat16": "bf16"}[precision]
        self._compiled: dict[int, Any] = {}
        self._idle: dict[int, list[Any]] = {}
        self._in_flight: dict[int, int] = {}
        self._lock = threading.Lock()
        if not self._path.is_file():
            raise UserError(f"an export to OpenVINO must hold {GRAPH}, {folder} does not; export it again")

    def in_flight(self, batch_size: int) -> int:
        """Batches of this size worth starting before the first is waited for."""
        self._idle_requests(batch_size)
        return self._in_flight[batch_size]

    def start(self, batch: npt.NDArray[np.uint8]) -> Callable[[], dict[str, npt.NDArray[np.float32]]]:
        """Starts on a batch (B, …) and returns at once; calling what it returns waits for the outputs by their names.

        Every new B is compiled anew, so callers keep to a few.

        Raises:
            UserError: Where the graph is damaged; so does what is returned.
        """
        idle = self._idle_requests(len(batch))
        with self._refusing_damage():
            try:
                request = idle.pop()
            except IndexError:
                request = self._compiled[len(batch)].create_infer_request()
            request.start_async([batch], share_inputs=True)

        def wait() -> dict[str, npt.NDArray[np.float32]]:
            found: dict[str, npt.NDArray[np.float32]] = {}
            with self._refusing_damage():
                request.wait()
                for output in request.model_outputs:  # one may go by several names
                    found |= dict.fromkeys(output.names, np.array(request.get_tensor(output).data))
            idle.append(request)
            return found

        return wait

    @contextlib.contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        """Turns what OpenVINO says of a damaged graph into a UserError: it depends on where it is damaged."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError, AttributeError, MemoryError) as error:
            raise UserError(
                f"OpenVINO cannot compute {self._path}: it is damaged or memory is short; export it again"
            ) from error

    def _idle_requests(self, batch_size: int) -> list[Any]:
        """The requests that wait for work of this batch size; a fixed size computes faster than a free one."""
        with self._lock:
            if batch_size not in self._compiled:
                with self._refusing_damage():
                    compiled = self._compile(batch_size)
                # Asked once: while it computes, a compiled model answers such questions late.
                self._in_flight[batch_size] = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
                self._compiled[batch_size], self._idle[batch_size] = compiled, []
            return self._idle[batch_size]

    def _compile(self, batch_size: int) -> Any:  # noqa: ANN401 -- see above
        model = self._core.read_model(self._path)
        (taken,) = model.inputs
        model.reshape([batch_size, *list(taken.partial_shape)[1:]])
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "PERFORMANCE_HINT": "LATENCY" if batch_size == 1 else "THROUGHPUT",
        }
        return self._core.compile_model(model, "CPU", settings)
