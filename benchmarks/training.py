"""How long it takes to train a linear head on a frozen backbone: the naive way and ours, backend against backend.

The naive way is a frozen backbone inside the model that is fitted: every epoch pushes every image through it. Ours
computes the features once (an empty cache, its filling counted) and trains on them. Both use the same optimizer,
schedule, batches and validation. Each contender runs in a process of its own, in turn; starting Python, building the
model and reading the data are not counted, compiling is. The naive loop under plain Keras is measured over fewer
epochs and its time multiplied: its accuracy is that of the naive loop with fast convolutions, up to rounding.

Example: python -m benchmarks.training --weights mobilenet_2_5_224_tf_no_top.h5
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes:
        backend: Keras backend.
        fast: Whether JAX gets fast convolutions.
        naive: Whether the backbone is pushed through every epoch.
        share: Share of the epochs that are measured.
    """

    backend: str
    fast: bool
    naive: bool
    share: float = 1.0


CONTENDERS = {
    "ours, jax": Contender("jax", fast=True, naive=False),
    "ours, jax, plain convolutions": Contender("jax", fast=False, naive=False),
    "ours, tensorflow": Contender("tensorflow", fast=False, naive=False),
    "ours, torch": Contender("torch", fast=False, naive=False),
    "naive, jax, fast convolutions": Contender("jax", fast=True, naive=True),
    "naive, jax": Contender("jax", fast=False, naive=True, share=0.1),
}


def measure(contender: Contender, options: argparse.Namespace) -> None:
    """Trains once in this process and prints seconds and the best validation accuracy as JSON."""
    from cxr_keras3.backend import selection  # noqa: PLC0415 -- the environment first

    selection.select(contender.backend)
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from cxr_keras3.model import classifier  # noqa: PLC0415
    from cxr_keras3.training import data, stages  # noqa: PLC0415
    from cxr_keras3.training.config import TrainingConfig  # noqa: PLC0415
    from cxr_keras3.training.loop import Stage, fit_stage  # noqa: PLC0415

    keras.utils.set_random_seed(0)
    epochs = round(contender.share * options.epochs)
    config = TrainingConfig(
        backbone=options.backbone, weights=options.weights, head_epochs=epochs, fine_tune="none", dropout=0.0
    )
    builder = data.prepare(data_dir=options.data_dir, manual_dir=None)
    trained_on, validated_on = (data.load_split(builder, split) for split in ("train", "validation"))
    model = stages.initial_model(config)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        started = time.perf_counter()
        if contender.naive:
            model.get_layer(classifier.BACKBONE).trainable = False
            stage = Stage(
                name="head",
                model=model,
                inputs=trained_on.images[np.newaxis],
                labels=trained_on.labels,
                augmentation="none",
                validated=model,
                validation_inputs=validated_on.images,
                validation_labels=validated_on.labels,
                epochs=epochs,
                peak_rate=config.head_learning_rate,
            )
            rows = fit_stage(stage, config, run_dir=place)
        else:
            rows = stages.fit_stages(
                model, config, trained_on, validated_on, identity={}, run_dir=place, cache_dir=place / "cache"
            )
        seconds = (time.perf_counter() - started) * options.epochs / len(rows)
    best = max(rows, key=lambda row: row["val_macro_f1"])
    accuracy = best["val_accuracy"] if contender.share == 1 else None
    print(json.dumps({"seconds": seconds, "accuracy": accuracy, "images": len(trained_on)}))


def main() -> None:
    """Runs the contenders in turn and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--backbone", default="mobilenet_025")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--only", choices=CONTENDERS, help="train once with this one, in this process")
    options = parser.parse_args()
    if options.only:
        measure(CONTENDERS[options.only], options)
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.contenders}
    for _ in range(options.repeats):
        for name, results in found.items():
            environment = os.environ | {"CXR_KERAS3_FAST_CONVOLUTIONS": str(int(CONTENDERS[name].fast))}
            command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--only", name]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{name}: {results[-1]['seconds']:.1f} s", file=sys.stderr)
    first = next(iter(found))
    images = found[first][0]["images"]
    print(f"{options.backbone}, {images:.0f} images, {options.epochs} epochs, {os.cpu_count()} CPU cores\n")
    print(f"| contender | seconds | validation accuracy | times the seconds of {first} |\n|---|---|---|---|")
    for name, results in found.items():
        seconds = [result["seconds"] for result in results]
        ratios = [mine / result["seconds"] for mine, result in zip(seconds, found[first], strict=True)]
        accuracy = results[0]["accuracy"]
        print(
            f"| {name} | {statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f}) | "
            f"{'not run to the end' if accuracy is None else f'{accuracy:.4f}'} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()
