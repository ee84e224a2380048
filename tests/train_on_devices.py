"""Trains a little on drawn images and prints the history: a process of `test_devices.py`.

python -m tests.train_on_devices FOLDER [ADDRESS PROCESSES PROCESS]
"""

import dataclasses
import json
import sys
from pathlib import Path

from cxr_keras3.backend import selection
from tests import splits
from tests.conftest import TINY


def main() -> None:
    """Trains a head as the command does, and a small network of every kind of layer, and prints their histories."""
    folder, *together = sys.argv[1:]
    joined = selection.Together(together[0], int(together[1]), int(together[2])) if together else None
    selection.select("jax", joined)
    import jax
    import keras
    import numpy as np

    from cxr_keras3.backend import devices
    from cxr_keras3.training import stages
    from cxr_keras3.training.loop import Stage, fit_stage

    keras.utils.set_random_seed(0)
    labels = np.arange(64) % 4
    noise = np.random.default_rng(0).integers(0, 60, (64, 299, 299, 1))
    images = (noise + 45 * labels[:, None, None, None]).astype(np.uint8)
    split = splits.split(images, labels)
    config = dataclasses.replace(TINY, fine_tune="none", head_epochs=3, augment=False)
    run_dir = Path(folder) / f"run-{devices.process()[0]}"
    run_dir.mkdir(parents=True)
    cache_dir = Path(folder) / "cache"
    model = stages.initial_model(config)
    rows = stages.fit_stages(model, config, split, split, identity={}, run_dir=run_dir, cache_dir=cache_dir)

    with devices.training("float32", batch_size=config.batch_size):
        layers = keras.layers
        network = keras.Sequential(
            [
                keras.Input((32, 32, 1), dtype="uint8"),
                layers.Rescaling(1 / 255),
                layers.Conv2D(8, 3, strides=2, kernel_initializer=keras.initializers.HeNormal(seed=0)),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.DepthwiseConv2D(3, depthwise_initializer=keras.initializers.HeNormal(seed=1)),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.2, seed=2),
                layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed=3)),
            ]
        )
        small = images[:, :32, :32]
        stage = Stage("fine-tuning", network, small[None], labels, "host", network, small, labels, 4, 1e-3)
        rows += fit_stage(stage, config, run_dir=run_dir)
    sums = [float(np.abs(weight).sum()) for weight in [*model.get_weights()[-2:], *network.get_weights()]]
    print(json.dumps({"devices": jax.device_count(), "rows": rows, "weights": sums}))  # noqa: T201 -- read by the test


if __name__ == "__main__":
    main()
