"""From file to answer by kind of film, this checkout beside another, in turns.

    python -m benchmarks.films [--before CHECKOUT] [--repeats 3]

Draws PNGs of 299 pixels, JPEGs of 1024 and DICOM files of 2500 x 2048 in lossless JPEG 2000, and scores them with the
model that ships. "ms of a core" is processor time, of all threads, for a film; it moves little with what else the
machine does, which films a second follow. "One film" is `python -m cxr_keras3.predict ONE.png`, the whole process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import bulk_scoring, scoring

ROOT = Path(__file__).parent.parent
COUNTS = {"png": 48, "jpeg": 24, "dicom": 4}
CHILD = "measure one"


def draw(folder: Path) -> None:
    """Writes the films, a folder for each kind."""
    pictures = bulk_scoring.phantoms(COUNTS["png"])
    for kind in COUNTS:
        (folder / kind).mkdir()
    for index, content in enumerate(bulk_scoring.pngs(COUNTS["png"])):
        (folder / "png" / f"{index:03}.png").write_bytes(content)
    for index, pixels in enumerate(pictures[: COUNTS["jpeg"]]):
        large = np.asarray(Image.fromarray(pixels).resize((1024, 1024), Image.Resampling.BICUBIC))
        noise = np.random.default_rng(index).normal(0, 3, large.shape)
        noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "jpeg" / f"{index:03}.jpg", quality=92)
    for index, content in enumerate(bulk_scoring.dicoms(COUNTS["dicom"])):
        (folder / "dicom" / f"{index:03}.dcm").write_bytes(content)


def measure(films: Sequence[Path]) -> dict[str, float]:
    """Figures of this process for these films."""
    from cxr_keras3 import serving  # noqa: PLC0415 -- of the checkout that the process was started on

    predictor = serving.load()
    list(predictor.predict(films[:2]))
    started, used = time.perf_counter(), time.process_time()
    if any(found.image is None for found in predictor.predict(films)):
        sys.exit("a drawn film could not be read")
    taken, used = time.perf_counter() - started, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
    return {"rate": len(films) / taken, "core": 1000 * used / len(films), "memory": memory}


def started(checkout: Path, kind: str, folder: Path) -> dict[str, float]:
    """The figures of a process on a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    if kind != "one film":
        command = [sys.executable, __file__, CHILD, str(folder / kind)]
        done = subprocess.run(command, check=True, capture_output=True, cwd=checkout, env=environment, text=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "cxr_keras3.predict", str(folder / "png" / "000.png")]
    subprocess.run(command, check=True, capture_output=True, cwd=checkout, env=environment)
    taken, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"rate": 1 / taken, "core": 1000 * used}


def table(found: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """The results as Markdown: the median of the turns (lowest-highest)."""
    lines = ["| films | checkout | films/s | ms of a core a film | peak memory, MiB |", "|---" * 5 + "|"]
    for (kind, name), turns in found.items():
        cells = [
            scoring.spread([turn[key] for turn in turns]) if key in turns[0] else ""
            for key in ("rate", "core", "memory")
        ]
        lines.append(f"| {kind} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout, to measure beside this one")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    options = parser.parse_args()
    checkouts = {"before": options.before.absolute()} if options.before else {}
    checkouts["now"] = ROOT
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        draw(Path(temporary))
        for _ in range(options.repeats):
            for kind in (*COUNTS, "one film"):
                for name, checkout in checkouts.items():
                    found.setdefault((kind, name), []).append(started(checkout, kind, Path(temporary)))
    print(table(found))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure(sorted(Path(sys.argv[2]).iterdir()))))
    else:
        main()
