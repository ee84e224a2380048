"""What outlining lungs costs beside classifying: the shipped segmenter against the shipped classifier.

In one run, by OpenVINO as predict uses it, on the same drawn films in batches of 16; outlining with its measuring.

Example: python -m benchmarks.segmenting
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from cxr_keras3.lungs import anatomy
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import batches, runtimes
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

ROUNDS = 5


def main() -> None:
    """Prints films a second of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=320)
    options = parser.parse_args()
    drawn = [phantom.draw(LABELS[index % 4], seed=0, index=index)[0] for index in range(min(options.films, 64))]
    films = np.resize(np.stack(drawn)[..., np.newaxis], (options.films, 299, 299, 1))
    segmenter, runtime = Segmenter.open(), runtimes.load_runtime(Run.open(), "openvino")
    contenders: dict[str, Callable[[], object]] = {
        "classifying": lambda: batches.run(runtime, films, task="classifying"),
        "outlining": lambda: [anatomy.measure(lungs) for lungs in segmenter.outline(films, task="outlining")],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(1 + ROUNDS):  # the first compiles
        for name, work in contenders.items():
            begun = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    for name, median in medians.items():
        print(f"{name:12} {len(films) / median:8.0f} films/s")
    print(f"outlining costs {medians['outlining'] / medians['classifying']:.2f} times what classifying costs")


if __name__ == "__main__":
    main()
