"""How fast the dataset is built, against a plain TFDS builder on the same files, in one run.

There are two plain builders. `copying` is what TFDS's guide shows for a folder of images: it hands over the paths, and
TFDS copies the files' bytes. It checks nothing, decodes nothing, and its images keep their sizes and colour modes.
`decoding` does the least that gives a dataset of grey 299x299 images: it opens each file with Pillow and hands over the
pixels.

Example: python -m benchmarks.building FOLDER --repeats 3
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cxr_keras3.images import IMAGE_SIZE
from tfds_cxr import database
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import Builder


class Copying(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS ships no types
    """A folder of images as most people would build it."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "A copy of the database."
    SHAPE: ClassVar = (None, None, 3)  # TFDS's default

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(shape=self.SHAPE), "label": tfds.features.ClassLabel(names=LABELS)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        return {"train": self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        with database.opened(folder) as root:
            for file in database.list_files(root).files:
                yield f"{file.label}/{file.filename}", {"image": self._image(file.path), "label": file.label}

    def _image(self, path: Path) -> Any:  # noqa: ANN401 -- whatever TFDS's Image feature takes
        return path


class Decoding(Copying):
    """The same with all images brought to one size and mode."""

    SHAPE: ClassVar = (IMAGE_SIZE, IMAGE_SIZE, 1)

    def _image(self, path: Path) -> np.ndarray:
        grey = Image.open(path).convert("L").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS)
        return np.asarray(grey)[..., np.newaxis]


BUILDERS = {"tfds_cxr": Builder, "copying": Copying, "decoding": Decoding}


def build(name: str, manual_dir: Path) -> None:
    """Builds twice in this process and prints the seconds of each and peak memory in MB."""
    seconds = []
    with tempfile.TemporaryDirectory() as data_dir:
        for _ in range(2):
            started = time.perf_counter()
            builder = BUILDERS[name](data_dir=data_dir)
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
            seconds.append(time.perf_counter() - started)
    print("measured", *seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Runs the builders in turn, each in a process of its own, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manual_dir", type=Path, help="folder with a copy of the database")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=BUILDERS, help="build once with this builder, in this process")
    options = parser.parse_args()
    if options.only:
        build(options.only, options.manual_dir)
        return
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in BUILDERS}
    for _ in range(options.repeats):
        for name, rows in found.items():
            command = [sys.executable, __file__, str(options.manual_dir), "--only", name]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured = next(line for line in printed.splitlines() if line.startswith("measured")).split()[1:]
            rows.append(tuple(map(float, measured)))
    for name, rows in found.items():
        seconds, again, peaks = zip(*rows, strict=True)
        print(
            f"{name:10} {statistics.median(seconds):6.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
            f"found built {statistics.median(again):.2f} s, peak {max(peaks):.0f} MB"
        )
    for name in ("copying", "decoding"):
        ratios = [ours[0] / plain[0] for ours, plain in zip(found["tfds_cxr"], found[name], strict=True)]
        print(f"tfds_cxr / {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
