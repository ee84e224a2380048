"""How long one step of training takes, all layers trained: backbone beside backbone, backend beside backend.

Each contender runs in a process of its own and trains on drawn noise: what a step costs depends on shapes alone. The
first steps, which compile, are not counted. The last column is what augmentation on the host takes of the same
processor: in training it runs beside the step, and on two cores the two share them.

Example: python -m benchmarks.training_steps --backbones mobilenet_025 efficientnet_lite0 --backends jax tensorflow
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BACKENDS = ("jax", "tensorflow", "torch")


def measure(options: argparse.Namespace) -> None:
    """Trains some steps in this process and prints seconds as JSON."""
    from cxr_keras3.backend import selection  # noqa: PLC0415 -- the environment first

    backend, backbone = options.only.split("/")
    selection.select(backend)
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from cxr_keras3.images import IMAGE_SIZE  # noqa: PLC0415
    from cxr_keras3.images.augment import augment  # noqa: PLC0415
    from cxr_keras3.model import classifier  # noqa: PLC0415

    model = classifier.build_classifier(
        backbone, weights="none", image_size=options.image_size, class_count=4, dropout=0.2, seed=0
    )
    trained = keras.Model(model.input, model.output)
    trained.compile(optimizer="adamw", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(0)
    films = generator.integers(0, 256, (options.batch_size, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.uint8)
    targets = np.eye(4, dtype=np.float32)[generator.integers(0, 4, options.batch_size)]
    seconds, cores = [], []
    for _ in range(options.steps + 2):
        started, used = time.perf_counter(), time.process_time()
        float(np.asarray(trained.train_on_batch(films, targets)))
        seconds.append(time.perf_counter() - started)
        cores.append(time.process_time() - used)
    used = time.process_time()
    for index, film in enumerate(films):
        augment(film, seed=(0, 0, index))
    host = time.process_time() - used
    print(
        json.dumps(
            {"seconds": statistics.median(seconds[2:]), "core": statistics.median(cores[2:]), "compiling": seconds[0]}
            | {"host": host}
        )
    )


def main() -> None:
    """Runs the contenders in turn and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["mobilenet_025", "efficientnet_lite0", "efficientnet_v2_b0"])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=["jax", "tensorflow"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--only", help="BACKEND/BACKBONE: measure this one, in this process")
    options = parser.parse_args()
    if options.only:
        measure(options)
        return
    print(f"{options.image_size} pixels, {options.batch_size} films a step, {len(os.sched_getaffinity(0))} cores\n")
    print("| backbone | backend | step, s | films a second | core a film, ms | host, core a film, ms | first step, s |")
    print("|---|---|---|---|---|---|---|")
    for backbone in options.backbones:
        for backend in options.backends:
            command = [sys.executable, "-m", "benchmarks.training_steps", *sys.argv[1:]]
            done = subprocess.run(
                [*command, "--only", f"{backend}/{backbone}"], stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            film = 1000 / options.batch_size
            print(
                f"| {backbone} | {backend} | {found['seconds']:.2f} | {options.batch_size / found['seconds']:.1f} | "
                f"{film * found['core']:.1f} | {film * found['host']:.1f} | {found['compiling']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
