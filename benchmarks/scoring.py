"""Scoring on a CPU: the exported model on OpenVINO against Keras, ONNX Runtime and a plain torch DenseNet121.

    python -m benchmarks.scoring [--backbone densenet121] [--repeats 5] [--contenders openvino_bfloat16 torch …]

An untrained model is built and exported; speed does not depend on the weights. Each contender runs in a process of
its own and they take turns, so that whatever else the machine does burdens them alike. Throughput is of batches of
32 images in memory (16 at a time, several in flight, on OpenVINO); latency is of one image; both end with
probabilities on the host. Torch gets its images resized and in float32, the others uint8 of 299 x 299 as stored.
"Start" is from the start of the process to its first answer, imports and compilation included. Ratios are of two
measurements of the same turn; the tables show the median of the turns (lowest-highest).
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

SIZE = 224
BATCH = 32
SECONDS = 3.0  # a measurement repeats its task for at least so long
CONTENDERS = (
    "openvino_float32",
    "openvino_bfloat16",
    "onnxruntime",
    "keras_jax",
    "keras_tensorflow",
    "keras_torch",
    "torch",
)
BASELINE = "torch"
TASKS = ("throughput", "latency")

Score = Callable[[int], None]


def prepare(folder: Path, backbone: str, formats: Sequence[str] = ("openvino", "onnx")) -> None:
    """Writes an untrained run, exported, and a film; needs a process of its own."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from cxr_keras3.backend import selection  # noqa: PLC0415 -- before Keras is imported

    selection.select("tensorflow")
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    from cxr_keras3.base import records  # noqa: PLC0415
    from cxr_keras3.model import classifier  # noqa: PLC0415
    from cxr_keras3.run.folder import MANIFEST, MODEL, Run  # noqa: PLC0415
    from cxr_keras3.run.manifest import INPUT_CONTRACT, SCHEMA_VERSION, Manifest  # noqa: PLC0415
    from cxr_keras3.serving import exporting  # noqa: PLC0415
    from tfds_cxr.labels import LABELS  # noqa: PLC0415

    model = classifier.build_classifier(
        backbone, weights="none", image_size=SIZE, class_count=len(LABELS), dropout=0.0, seed=0
    )
    folder.mkdir(parents=True)
    model.save(folder / MODEL)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=f"untrained {backbone}",
        created="",
        class_names=LABELS,
        input=INPUT_CONTRACT,
        backend="tensorflow",
        config={"backbone": backbone},
        data={"synthetic": True, "listing_fingerprint": ""},
        validation={},
        packages={},
    )
    records.write(folder / MANIFEST, manifest)
    films = np.random.default_rng(0).integers(0, 256, (8, 299, 299, 1), dtype=np.uint8)
    Image.fromarray(films[0, ..., 0]).save(folder / "film.png")
    for format_name in formats:
        exporting.export(Run.open(folder), format_name, films=films, source="noise")


def load_ours(contender: str, folder: Path) -> Score:
    """OpenVINO or Keras, by the runtimes of the package."""
    import numpy as np  # noqa: PLC0415 -- counted into the contender's start

    from cxr_keras3.backend.openvino_graph import InferencePrecision  # noqa: PLC0415
    from cxr_keras3.run.folder import Run  # noqa: PLC0415
    from cxr_keras3.serving import runtimes  # noqa: PLC0415

    kind, variant = contender.split("_")
    runtime: runtimes.Runtime
    if kind == "openvino":
        precision: InferencePrecision = "bfloat16" if variant == "bfloat16" else "float32"
        runtime, step = runtimes.load_runtime(Run.open(folder), kind, precision=precision), 16
    else:
        runtime, step = runtimes.load_runtime(Run.open(folder), variant), BATCH
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 299, 299, 1), dtype=np.uint8)
    waiting: list[Callable[[], object]] = []

    def score(count: int) -> None:
        for start in range(0, count, step):
            batch = images[start : min(start + step, count)]
            waiting.append(runtime.start(batch))
            if count == 1 or len(waiting) > runtime.in_flight(len(batch)):
                waiting.pop(0)()

    return score


def load_onnxruntime(folder: Path) -> Score:
    """The export to ONNX on ONNX Runtime."""
    import numpy as np  # noqa: PLC0415 -- counted into the contender's start
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(
        folder / "export" / "onnx" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 299, 299, 1), dtype=np.uint8)
    (name,) = (each.name for each in session.get_inputs())
    return lambda count: session.run(None, {name: images[:count]}) and None


def load_torch() -> Score:
    """A plain torch DenseNet121 with four outputs, in float32."""
    import torch  # noqa: PLC0415 -- counted into the contender's start

    from benchmarks.torch_densenet import densenet121  # noqa: PLC0415

    model = densenet121(4).eval()
    images = torch.rand(BATCH, 3, SIZE, SIZE)

    def score(count: int) -> None:
        with torch.inference_mode():
            model(images[:count]).softmax(1).numpy()

    return score


def load(contender: str, folder: Path) -> Score:
    """What scores a number of images by a contender."""
    if contender == "torch":
        return load_torch()
    return load_onnxruntime(folder) if contender == "onnxruntime" else load_ours(contender, folder)


def serve(contender: str, folder: Path, connection: Connection) -> None:
    """Answers each task received with images a second or milliseconds, and None with the peak memory in MiB."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    score = load(contender, folder)
    score(1)
    connection.send("first answer")
    for _ in range(3):  # compiles, and fills what is in flight
        score(BATCH)
    connection.send("ready")
    while (task := connection.recv()) is not None:
        count, times = BATCH if task == "throughput" else 1, []
        begun = time.perf_counter()
        while time.perf_counter() - begun < SECONDS or not times:
            start = time.perf_counter()
            score(count)
            times.append(time.perf_counter() - start)
        if task == "throughput":
            connection.send(count * len(times) / sum(times))
        else:
            connection.send(1000.0 * statistics.median(times))
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20))


def measure(contenders: Sequence[str], folder: Path, *, repeats: int) -> dict[tuple[str, str], list[float]]:
    """Figures by contender and task, one a turn; of "start" and "memory" one in all."""
    spawn = multiprocessing.get_context("spawn")
    connections: dict[str, Connection] = {}
    found: dict[tuple[str, str], list[float]] = {(name, task): [] for name in contenders for task in TASKS}
    for name in contenders:
        connections[name], theirs = spawn.Pipe()
        start = time.perf_counter()
        spawn.Process(target=serve, args=(name, folder, theirs), daemon=True).start()
        theirs.close()  # so that a process that dies ends our waiting for it
        connections[name].recv()
        found[name, "start"] = [time.perf_counter() - start]
        connections[name].recv()
    for _ in range(repeats):
        for task in TASKS:
            for name, connection in connections.items():
                connection.send(task)
                found[name, task].append(connection.recv())
    for name, connection in connections.items():
        connection.send(None)
        found[name, "memory"] = [connection.recv()]
    return found


def command_seconds(folder: Path) -> float:
    """Seconds of `predict ONE.png`, the whole process, on what the run is exported to."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "cxr_keras3.predict", "--model", folder, folder / "film.png"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> str:
    """Median (lowest-highest), to three digits."""
    low, middle, high = (f"{value:.3g}" for value in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"


def table(contenders: Sequence[str], found: dict[tuple[str, str], list[float]]) -> str:
    """The results as Markdown, with ratios of the throughput to the baseline's where that was measured."""
    lines = ["| contender | images/s | times torch | ms for one | start, s | peak memory, MiB |", "|---" * 6 + "|"]
    for name in contenders:
        rates, base = found[name, "throughput"], found.get((BASELINE, "throughput"))
        ratio = spread([ours / theirs for ours, theirs in zip(rates, base, strict=True)]) if base else ""
        cells = [spread(found[name, task]) for task in ("latency", "start", "memory")]
        lines.append(f"| {name} | {spread(rates)} | {ratio} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table, and the time of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbone", default="densenet121", help="of ours; torch is always DenseNet121")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        maker = multiprocessing.get_context("spawn").Process(target=prepare, args=(folder, options.backbone))
        maker.start()
        maker.join()
        if maker.exitcode:
            sys.exit("the model could not be prepared, see above")
        print(f"\n{options.backbone} at {SIZE} pixels, {os.cpu_count()} CPU cores\n")
        print(table(options.contenders, measure(options.contenders, folder, repeats=options.repeats)), flush=True)
        seconds = [command_seconds(folder) for _ in range(options.repeats)]
        print(f"\npython -m cxr_keras3.predict ONE.png, whole process: {spread(seconds)} s")


if __name__ == "__main__":
    main()
