"""Runtimes: OpenVINO on a run's export, without Keras, or Keras on the run's model."""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from cxr_keras3.backend import selection
from cxr_keras3.backend.selection import RUNTIMES
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.run.manifest import INPUT_CONTRACT
from cxr_keras3.run.parity import Parity
from cxr_keras3.serving.outputs import NAMES, Outputs

InferencePrecision = Literal["float32", "bfloat16"]
OPENVINO_MODEL = "model.xml"
BATCH_SIZE = 16
"""Images computed at a time; a runtime compiles each size anew."""

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


def import_openvino() -> Any:  # noqa: ANN401 -- OpenVINO ships no types
    """Imports OpenVINO without the package that, unasked, reports each import to Google Analytics."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if it were not installed
    import openvino  # noqa: PLC0415 -- takes tenths of a second that other runtimes save

    return openvino


def processor_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    openvino = import_openvino()
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def choose_precision(parity: Parity) -> InferencePrecision:
    """Bfloat16 where the processor has it and the export's own figures allow it, else float32."""
    allowed = parity.bfloat16 is not None and parity.bfloat16.decides_alike
    return "bfloat16" if allowed and processor_has_bfloat16() else "float32"


class OpenVINORuntime:
    """Runs an export to OpenVINO on the processor's cores."""

    def __init__(self, folder: Path, precision: InferencePrecision) -> None:
        self.description = f"OpenVINO in {precision}"
        openvino = import_openvino()
        # OpenVINO 2026 makes its table of types when it is first asked, and two threads that ask at once wait for
        # one another for ever. So it is asked here, before there are any.
        openvino.Tensor(np.zeros(1, np.uint8)).element_type.to_dtype()
        self._core = openvino.Core()
        self._path = folder / OPENVINO_MODEL
        self._precision = {"float32": "f32", "bfloat16": "bf16"}[precision]
        self._compiled: dict[int, Any] = {}
        self._idle: dict[int, list[Any]] = {}
        self._lock = threading.Lock()
        if not self._path.is_file():
            raise UserError(f"an export to OpenVINO must hold {OPENVINO_MODEL}, {folder} does not; export it again")

    def in_flight(self, batch_size: int) -> int:
        """See `Runtime.in_flight`."""
        self._idle_requests(batch_size)
        return int(self._compiled[batch_size].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def start(self, images: Images) -> Callable[[], Outputs]:
        """See `Runtime.start`."""
        idle = self._idle_requests(len(images))
        try:
            request = idle.pop()
        except IndexError:
            request = self._compiled[len(images)].create_infer_request()
        request.start_async([images], share_inputs=True)

        def wait() -> Outputs:
            request.wait()
            outputs = Outputs.named({name: np.array(request.get_tensor(name).data) for name in NAMES})
            idle.append(request)
            return outputs

        return wait

    def _idle_requests(self, batch_size: int) -> list[Any]:
        """The requests that wait for work of this batch size; a fixed size computes faster than a free one."""
        with self._lock:
            if batch_size not in self._compiled:
                model = self._core.read_model(self._path)
                model.reshape([batch_size, *INPUT_CONTRACT["shape"]])
                settings = {
                    "INFERENCE_PRECISION_HINT": self._precision,
                    "PERFORMANCE_HINT": "LATENCY" if batch_size == 1 else "THROUGHPUT",
                }
                self._compiled[batch_size] = self._core.compile_model(model, "CPU", settings)
                self._idle[batch_size] = []
            return self._idle[batch_size]


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
