"""Kills a training at random moments and checks that it ends with the same weights as one left alone.

One run goes through undisturbed. Then, time after time with a fresh run folder and cache, the same command gets
SIGKILL at a moment drawn between the start of Keras and the end of that run, is started again, and its final
weights are compared bit for bit.

Example: python -m checks.kill_and_resume --data-dir runs/quickstart-data/datasets --kills 10
"""

import argparse
import io
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

TRAINING = [
    *("--backbone", "mobilenet_025", "--weights", "none", "--image-size", "64", "--batch-size", "16"),
    *("--head-epochs", "3", "--fine-tune", "last_stage", "--fine-tune-epochs", "8", "--cached-views", "2"),
]


def weights(run_dir: Path) -> dict[str, np.ndarray]:
    """Every array of a saved model by its path in the file."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(run_dir / "model.keras") as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    stored.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def start(data_dir: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The training command; what it says is in `log.txt`."""
    folder.mkdir(exist_ok=True)
    places = ["--data-dir", data_dir, "--run-dir", folder / "run", "--cache-dir", folder / "cache"]
    command = [sys.executable, "-m", "cxr_keras3.train", *TRAINING, *map(str, places)]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Waits for a training to end well."""
    if process.wait() != 0:
        raise SystemExit((folder / "log.txt").read_text(errors="replace"))


def main() -> None:
    """Kills, resumes, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the built dataset")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    generator = random.Random(options.seed)  # noqa: S311 -- no secret
    folder = Path(tempfile.mkdtemp())
    started = time.monotonic()
    finish(start(options.data_dir, folder / "whole"), folder / "whole")
    seconds = time.monotonic() - started
    expected = weights(folder / "whole" / "run")
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    equal = 0
    for number in range(options.kills):
        broken = folder / f"killed-{number}"
        process = start(options.data_dir, broken)
        moment = generator.uniform(0.15, 0.98) * seconds
        time.sleep(moment)
        alive = process.poll() is None
        process.kill()
        process.wait()
        reached = sorted(
            str(path.relative_to(broken)) for path in broken.rglob("*") if path.suffix in (".npz", ".npy", ".keras")
        )
        finish(start(options.data_dir, broken), broken)
        found = weights(broken / "run")
        same = found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in found)
        equal += same
        print(
            f"killed after {moment:.1f} s{'' if alive else ' (it had ended)'}, having written "
            f"{', '.join(reached) or 'nothing'}: {'same weights' if same else 'OTHER weights'}",
            flush=True,
        )
    shutil.rmtree(folder)
    print(f"{equal} of {options.kills} ended with the same weights as the undisturbed run")
    sys.exit(equal != options.kills)


if __name__ == "__main__":
    main()
