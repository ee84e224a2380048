"""Bulk scoring on a Ray cluster of three nodes, one of which is killed half-way, against one process.

Draws films, broken files among them, or takes those of a folder. Scores them with `python -m cxr_keras3.score` on three
Ray nodes of this machine, kills one when half the films have their row, and checks that the tables hold each film once,
with the answer that a single process gives to the last bit. Then runs the same command again, which must write nothing.
With --scaling it scores them on one core and on two instead, and prints the ratio of the rates. A rate is taken from
the first parts of the output to the last, so that starting Ray and loading the model are not in it. With --dicom the
films are as large as a detector's: 2500 x 2048 pixels of 12 bits in lossless JPEG 2000.

Example: python -m benchmarks.bulk_scoring --films 20000
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset
from PIL import Image
from pydicom import uid

from cxr_keras3 import images, score, serving
from cxr_keras3.base.batching import BATCH_SIZE
from cxr_keras3.bulk import tables
from cxr_keras3.serving import inputs
from tests import drawn_run, image_files
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

NODES, NODE_CORES = 3, 1
POLL_SECONDS = 0.05
DRAWN, DRAWN_DICOM = 100, 8  # the others are these with another text or UID in the file
DICOM_ROWS, DICOM_COLUMNS, DICOM_BITS = 2500, 2048, 12
BROKEN_EVERY = 50  # one file in so many
PNG_HEADER_BYTES = 33

Rows = dict[str, dict[str, Any]]


def draw(folder: Path, count: int, *, dicom: bool = False) -> Path:
    """Writes films, and some files that are none."""
    folder.mkdir()
    films = dicoms(count) if dicom else pngs(count)
    for index, content in enumerate(films):
        broken = index % BROKEN_EVERY == BROKEN_EVERY - 1
        (folder / f"{index:06d}").write_bytes(b"no film" if broken else content)
    return folder


def phantoms(count: int) -> list[np.ndarray]:
    """Drawn films, uint8 (299, 299)."""
    return [phantom.draw(LABELS[index % 4], seed=0, index=index)[0] for index in range(count)]


def pngs(count: int) -> Iterator[bytes]:
    """Drawn films as PNGs, each with a text of its own."""
    files = [images.encode_png(pixels) for pixels in phantoms(min(count, DRAWN))]
    for index in range(count):
        png, text = files[index % len(files)], b"tEXtComment\0%d" % index
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        yield png[:PNG_HEADER_BYTES] + chunk + png[PNG_HEADER_BYTES:]


def dicoms(count: int) -> Iterator[bytes]:
    """Drawn films, enlarged and with noise, as DICOM files, each with a UID of its own."""
    drawn = []
    for index, pixels in enumerate(phantoms(min(count, DRAWN_DICOM))):
        large = np.asarray(Image.fromarray(pixels).resize((DICOM_COLUMNS, DICOM_ROWS), Image.Resampling.BICUBIC))
        noise = np.random.default_rng(index).normal(0, 8, large.shape)
        values = np.clip(large * 2.0 ** (DICOM_BITS - 8) + noise, 0, 2**DICOM_BITS - 1).astype(np.uint16)
        drawn.append(image_files.dicom_dataset(values, bits=DICOM_BITS))
        image_files.compressed(drawn[-1], uid.JPEG2000Lossless)
    for index in range(count):
        dataset = drawn[index % len(drawn)]
        dataset.SOPInstanceUID = f"{image_files.SOP_INSTANCE_UID}.{index}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        yield image_files.dicom_bytes(dataset)


def rows(output: Path) -> Rows:
    """The rows of both tables by file name; no name may have two."""
    found: Rows = {}
    for table in (tables.SCORED, tables.REJECTS):
        if (output / table).exists():
            for row in pyarrow.dataset.dataset(output / table, format="parquet").to_table().to_pylist():
                if row["file"] in found:
                    sys.exit(f"{row['file']} has two rows")
                found[row["file"]] = row
    return found


def expected(films: Path, run_dir: Path) -> Rows:
    """What one process says of the films; prints what that takes, without loading the model."""
    predictor = serving.load(run_dir)
    sources = inputs.find([films])
    list(predictor.predict(sources[:BATCH_SIZE]))
    started, used = time.monotonic(), time.process_time()
    found = {each.file: each.record() for each in predictor.predict(sources)}
    taken, used = time.monotonic() - started, time.process_time() - used
    print(f"one process: {len(found)} films in {taken:.1f} s, {1000 * used / len(found):.3g} ms of a core for each")
    return found


def differences(found: Rows, right: Rows) -> list[str]:
    """What is wrong with the rows, in words; nothing where all is well."""
    wrong = [f"{name} has no row" for name in right.keys() - found.keys()]
    wrong += [f"{name} is no film of these" for name in found.keys() - right.keys()]
    for name in right.keys() & found.keys():
        row, record = found[name], dict(right[name])
        probabilities = record.pop("probabilities")
        known = {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}
        if "accepted" not in row:  # of the rejects
            known = {key: known[key] for key in tables.REJECT_COLUMNS if key != "key"}
        known |= probabilities
        wrong += [f"{name}: {key} is {row[key]!r}" for key, value in known.items() if row[key] != value]
    return wrong


@contextmanager
def cluster_losing_a_node(output: Path, count: int) -> Iterator[tuple[str, list[float]]]:
    """Three nodes; one is killed when half of `count` films are written. Gives the address and when that was."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415 -- reads the environment

    settings = {"num_cpus": NODE_CORES, "object_store_memory": 200_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
    nodes = [cluster.add_node(**settings) for _ in range(NODES - 1)]
    killed: list[float] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(POLL_SECONDS):
            if (output / tables.RUN).exists() and len(tables.done(str(output)).names()) * 2 >= count:
                cluster.remove_node(nodes[0], allow_graceful=False)
                killed.append(time.monotonic())
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield cluster.address, killed
    finally:
        stop.set()
        killer.join()
        cluster.shutdown()


def rate(films: Path, run_dir: Path, output: Path, *, cores: int) -> float:
    """Films a second on so many cores, by the times of the output's parts."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    subprocess.run(
        [sys.executable, "-m", "cxr_keras3.score", films, "--model", run_dir, "--output", output],
        check=False,  # 3 where some films are refused
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )
    parts = sorted((output / tables.SCORED).iterdir(), key=lambda part: part.stat().st_mtime)
    written = [part.stat().st_mtime for part in parts]
    films_a_part = len(rows(output)) / len(parts)
    return films_a_part * (len(parts) - cores) / (written[-1] - written[cores - 1])


def survive(films: Path, run_dir: Path, output: Path, right: Rows) -> list[str]:
    """Scores on a cluster that loses a node, then again; says what is wrong with the tables."""
    command = [str(films), "--model", str(run_dir), "--output", str(output)]
    with cluster_losing_a_node(output, len(right)) as (address, killed):
        started = time.monotonic()
        score.main([*command, "--address", address])
        ended = time.monotonic()
        if not killed:
            sys.exit("all was done before a node could be killed; take more films")
        print(f"{NODES} nodes: {ended - started:.1f} s, one of them was killed after {killed[0] - started:.1f} s")
        wrong = differences(rows(output), right)
        parts = {part: part.stat().st_mtime_ns for part in output.rglob("*.parquet")}
        score.main([*command, "--address", address])
        if parts != {part: part.stat().st_mtime_ns for part in output.rglob("*.parquet")}:
            wrong.append("the second command wrote something")
    return wrong


def main() -> None:
    """Runs the trial, prints what it found, and ends with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=20_000, help="how many to draw (default: 20000)")
    parser.add_argument("--dicom", action="store_true", help="draw films of a detector's size")
    parser.add_argument("--images", type=Path, help="a folder of films to take instead")
    parser.add_argument("--model", type=Path, help="run folder exported to OpenVINO; a small drawn graph when left out")
    parser.add_argument("--scaling", action="store_true", help="measure one core against two instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        films = options.images or draw(folder / "films", options.films, dicom=options.dicom)
        run_dir = options.model or drawn_run.write(folder / "run")
        right = expected(films, run_dir)
        if options.scaling:
            rates = [rate(films, run_dir, folder / f"{cores}-cores", cores=cores) for cores in (1, 2)]
            print(f"one core {rates[0]:.3g} films/s, two {rates[1]:.3g}, ratio {rates[1] / rates[0]:.2f}")
            return
        wrong = survive(films, run_dir, folder / "output", right)
    print("\n".join(wrong[:20]) or "every film has one row, equal to that of one process; nothing was done twice")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
