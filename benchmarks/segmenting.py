"""What outlining lungs costs beside classifying: the shipped segmenter against the shipped classifier, in one run.

Both by OpenVINO in float32 on the same drawn films, in batches of 16, in turns; outlining with its cleaning and measuring.

Example: python -m benchmarks.segmenting
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from cxr_keras3.lungs import anatomy
from cxr_keras3.lungs.segmenter import BATCH, Segmenter
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import runtimes
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

ROUNDS = 5


def seconds(work: Callable[[np.ndarray], object], films: np.ndarray) -> float:
    """For all films, batch after batch, several in flight."""
    begun = time.perf_counter()
    work(films)
    return time.perf_counter() - begun


def main() -> None:
    """Prints films a second of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=320)
    options = parser.parse_args()
    drawn = [phantom.draw(LABELS[index % 4], seed=0, index=index)[0] for index in range(min(options.films, 64))]
    films = np.resize(np.stack(drawn)[..., np.newaxis], (options.films // BATCH * BATCH, 299, 299, 1))
    segmenter, runtime = Segmenter.open(), runtimes.load_runtime(Run.open(), "openvino", precision="float32")

    def classify(batches: np.ndarray) -> None:
        waiting = []
        for start in range(0, len(batches), BATCH):
            waiting.append(runtime.start(batches[start : start + BATCH]))
            if len(waiting) > runtime.in_flight(BATCH):
                waiting.pop(0)()
        for wait in waiting:
            wait()

    def outline(batches: np.ndarray) -> None:
        waiting = []

        def take() -> None:
            for lungs in waiting.pop(0)():
                anatomy.measure(lungs)

        for start in range(0, len(batches), BATCH):
            waiting.append(segmenter.start(batches[start : start + BATCH]))
            if len(waiting) > segmenter.in_flight(BATCH):
                take()
        while waiting:
            take()

    contenders = {"classifying": classify, "outlining": outline}
    for work in contenders.values():
        work(films[:BATCH])  # compiles
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            taken[name].append(seconds(work, films))
    for name, times in taken.items():
        print(f"{name:12} {len(films) / statistics.median(times):8.0f} films/s")
    ratio = statistics.median(taken["outlining"]) / statistics.median(taken["classifying"])
    print(f"outlining costs {ratio:.2f} times what classifying costs")


if __name__ == "__main__":
    main()
