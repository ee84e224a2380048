"""Images a second of whole models on a CPU: plain Keras on JAX, with fast convolutions, and TensorFlow.

    python -m benchmarks.convolutions [--tensorflow] [--repeats 5]

Each contender runs in a process of its own. They take turns, so that whatever else the machine does burdens
them alike; a ratio is of two measurements of the same turn, and the table shows the median of the turns
(lowest-highest).
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

MODELS = ("mobilenet_025", "mobilenet_v3_small")
TASKS = ("predict", "train")
CONTENDERS = {
    "plain": {"KERAS_BACKEND": "jax", "CXR_KERAS3_FAST_CONVOLUTIONS": "0"},
    "fast": {"KERAS_BACKEND": "jax", "CXR_KERAS3_FAST_CONVOLUTIONS": "1"},
    "tensorflow": {"KERAS_BACKEND": "tensorflow"},
}
SIZE = 224
SECONDS = 1.0  # a measurement repeats its task for at least so long

Measurements = dict[tuple[str, str], list[float]]


def serve(environment: dict[str, str], model_name: str, batch_size: int, connection: Connection) -> None:
    """Builds the untrained model and answers each task received with the images done in a second."""
    os.environ |= environment | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    from cxr_keras3.backend import selection  # noqa: PLC0415 -- the environment first

    selection.select(environment["KERAS_BACKEND"])
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from cxr_keras3.model import backbones  # noqa: PLC0415

    backbone = backbones.build_backbone(model_name, weights="none", image_size=SIZE)
    outputs = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(backbone.output))
    model = keras.Model(backbone.inputs, outputs)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).uniform(0, 255, (batch_size, SIZE, SIZE, 3)).astype(np.float32)
    labels = np.arange(batch_size) % 4
    run = {
        "predict": lambda: model.predict_on_batch(images),
        "train": lambda: model.train_on_batch(images, labels),
    }
    for task in TASKS:  # compiles
        run[task]()
    connection.send("ready")
    while (task := connection.recv()) is not None:
        steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < SECONDS:
            run[task]()
            steps += 1
        connection.send(steps * batch_size / elapsed)


def measure(model_name: str, contenders: Sequence[str], *, batch_size: int, repeats: int) -> Measurements:
    """Images a second of each (task, contender), one value a turn."""
    spawn = multiprocessing.get_context("spawn")
    connections = {}
    for contender in contenders:
        connections[contender], theirs = spawn.Pipe()
        arguments = (CONTENDERS[contender], model_name, batch_size, theirs)
        spawn.Process(target=serve, args=arguments, daemon=True).start()
        theirs.close()  # so that a process that dies ends our waiting for it
        connections[contender].recv()
    measurements: Measurements = {(task, contender): [] for task in TASKS for contender in contenders}
    for _ in range(repeats):
        for task in TASKS:
            for contender, connection in connections.items():
                connection.send(task)
                measurements[task, contender].append(connection.recv())
    for connection in connections.values():
        connection.send(None)
    return measurements


def spread(values: Sequence[float], digits: int) -> str:
    """Median (lowest-highest)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def rows(model_name: str, measurements: Measurements) -> list[str]:
    """The table's rows for one model: every contender's figure and the fast one's ratios."""
    lines = []
    for task in TASKS:
        by_contender = {contender: values for (done, contender), values in measurements.items() if done == task}
        fast = by_contender["fast"]
        cells = [spread(values, 0 if min(values) > 20 else 1) for values in by_contender.values()]
        for contender, values in by_contender.items():
            if contender != "fast":
                cells.append(spread([ours / theirs for ours, theirs in zip(fast, values, strict=True)], 1))
        lines.append(f"| {model_name} | {task} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tensorflow", action="store_true", help="measure TensorFlow as well")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batch-size", type=int, default=32, help="images (default: 32)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    options = parser.parse_args()
    contenders = [name for name in CONTENDERS if options.tensorflow or name != "tensorflow"]
    ratios = [f"fast / {name}" for name in contenders if name != "fast"]
    print(f"images/s, {SIZE}x{SIZE}, batch {options.batch_size}, {os.cpu_count()} CPU cores\n")
    print(f"| model | task | {' | '.join([*contenders, *ratios])} |")
    print("|---" * (2 + len(contenders) + len(ratios)) + "|", flush=True)
    for model_name in options.models:
        measured = measure(model_name, contenders, batch_size=options.batch_size, repeats=options.repeats)
        print("\n".join(rows(model_name, measured)), flush=True)


if __name__ == "__main__":
    main()
