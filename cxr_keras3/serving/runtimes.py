"""What computes: OpenVINO on a run's export, without Keras, or Keras itself on the run's model."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from cxr_keras3.backend import selection
from cxr_keras3.backend.selection import RUNTIMES
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact
from cxr_keras3.serving import parity
from cxr_keras3.serving.outputs import NAMES, Outputs

Precision = Literal["float32", "bfloat16"]
OPENVINO_MODEL = "model.xml"
BATCH_SIZE = 16
"""Images computed at a time; a runtime compiles each size anew."""

Images = npt.NDArray[np.uint8]


class Runtime(Protocol):
    """Runs the serving graph. Safe to use from several threads.

    Attributes:
        description: What computes, in words, for logs.
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


def export_folder(run_dir: Path, format_name: str) -> Path:
    """Where a run's export of a format is, or would be."""
    return run_dir / "export" / format_name


def default(run_dir: Path) -> str:
    """OpenVINO where the run has been exported to it, else the Keras backend of the environment, else JAX."""
    if export_folder(run_dir, "openvino").is_dir():
        return "openvino"
    return os.environ.get("KERAS_BACKEND", "jax")


def import_openvino() -> Any:  # noqa: ANN401 -- OpenVINO ships no types
    """Imports OpenVINO without the package that, unasked, reports each import to Google Analytics."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if it were not installed
    import openvino  # noqa: PLC0415 -- takes tenths of a second that other runtimes save

    return openvino


def processor_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    openvino = import_openvino()
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def choose_precision(folder: Path) -> Precision:
    """Bfloat16 where the processor has it and the export's own figures allow it, else float32."""
    bfloat16 = parity.load(folder).bfloat16
    allowed = bfloat16 is not None and bfloat16.decides_alike
    return "bfloat16" if allowed and processor_has_bfloat16() else "float32"


class OpenVINORuntime:
    """Runs an export to OpenVINO on the processor's cores."""

    def __init__(self, folder: Path, precision: Precision) -> None:
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
                model.reshape([batch_size, *artifact.INPUT_CONTRACT["shape"]])
                settings = {
                    "INFERENCE_PRECISION_HINT": self._precision,
                    "PERFORMANCE_HINT": "LATENCY" if batch_size == 1 else "THROUGHPUT",
                }
                self._compiled[batch_size] = self._core.compile_model(model, "CPU", settings)
                self._idle[batch_size] = []
            return self._idle[batch_size]


class KerasRuntime:
    """Runs the run's own model on the current Keras backend."""

    def __init__(self, run_dir: Path, *, backend: str, temperature: float) -> None:
        selection.select(backend)
        from cxr_keras3.serving import graph  # noqa: PLC0415 -- imports Keras

        self.description = f"Keras on {backend} (the export to OpenVINO starts and scores faster)"
        self._lock = threading.Lock()
        self._model = graph.build(artifact.load_model(run_dir), temperature=temperature)

    def in_flight(self, batch_size: int) -> int:  # noqa: ARG002 -- the same for all
        """See `Runtime.in_flight`."""
        return 1

    def start(self, images: Images) -> Callable[[], Outputs]:
        """See `Runtime.start`."""
        with self._lock:
            outputs = self._model.predict_on_batch(images)
        found = Outputs.named(outputs)
        return lambda: found


def load(run_dir: Path, name: str, *, temperature: float, precision: Precision | None = None) -> Runtime:
    """Loads a run's runtime.

    Args:
        run_dir: The run folder.
        name: One of `RUNTIMES`.
        temperature: The run's, see `cxr_keras3.run.calibration`; 1 where uncalibrated.
        precision: What OpenVINO computes in; see `choose_precision` when None.

    Raises:
        UserError: Where the runtime is unknown or not installed, or the run has no such export, or one of
            another temperature.
    """
    if name not in RUNTIMES:
        raise UserError(f"the runtime must be one of {', '.join(RUNTIMES)}, received {name!r}")
    if name != "openvino":
        return KerasRuntime(run_dir, backend=name, temperature=temperature)
    folder = export_folder(run_dir, name)
    remedy = f"run python -m cxr_keras3.export {run_dir} --format openvino"
    if not folder.is_dir():
        raise UserError(f"the runtime openvino needs a run exported to OpenVINO, {run_dir} is not; {remedy}")
    exported = parity.load(folder).temperature
    if not np.isclose(exported, temperature, rtol=1e-6):
        raise UserError(
            f"the export in {folder} must have the run's calibration, its temperature is {exported:.4f} and "
            f"the run's {temperature:.4f}; {remedy}"
        )
    return OpenVINORuntime(folder, precision or choose_precision(folder))
