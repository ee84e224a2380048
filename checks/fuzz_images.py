"""Feeds spoilt image files to `cxr_keras3.images.decode` and reports what came of them.

    python -m checks.fuzz_images [--inputs 100000] [--first-seed 0]

Every input is made from a valid file and a seed. It becomes a film or an `ImageError`; anything else
is reported with the kind of file and the seed that made it, and the exit code is 1. The input at work
is kept in a file, so that one that takes the process down can be found there.
"""

import argparse
import collections
import faulthandler
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from cxr_keras3 import images
from tests.image_files import mutate, valid_files


def main() -> int:
    """Runs the inputs and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    faulthandler.enable()
    current = Path(tempfile.gettempdir()) / "fuzz_images_current"
    files = sorted(valid_files().items())
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    slowest, defects = (0.0, "", 0), []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.inputs):
        kind, valid = files[seed % len(files)]
        data = mutate(random.Random(seed), valid)  # noqa: S311 - no secret
        current.write_bytes(data)
        start = time.perf_counter()
        try:
            images.decode(data)
            outcome = "film"
        except images.ImageError as error:
            outcome = "damaged" if error.__cause__ else "refused"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the very thing looked for
            outcome = "DEFECT"
            defects.append(f"{kind}, seed {seed}: {error!r}")
        outcomes[kind][outcome] += 1
        slowest = max(slowest, (time.perf_counter() - start, kind, seed))
    print(f"{'file':20} {'film':>8} {'refused':>8} {'damaged':>8} {'DEFECT':>8}")
    for kind, counts in sorted(outcomes.items()):
        print(f"{kind:20} " + " ".join(f"{counts[name]:8}" for name in ("film", "refused", "damaged", "DEFECT")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}, seed {slowest[2]}); peak memory {peak} MiB")
    if defects:
        print("\n".join(defects))
        print(f"fell: {len(defects)} of {arguments.inputs} files became neither a film nor an ImageError")
        return 1
    print(f"held: each of {arguments.inputs} files became a film or an ImageError")
    return 0


if __name__ == "__main__":
    sys.exit(main())
