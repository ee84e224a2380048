"""Does what serves need no more than its requirements? Installs them alone into a fresh environment, and asks.

Installs `deploy/requirements-serving.txt` and this package without its dependencies, which needs the network; says how
large that is; scores drawn films there and here, which must answer alike; and has the demo, the gateway and the server
start as far as `--help`. Example: python -m checks.serving OUT
"""

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

from cxr_keras3 import images
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "deploy" / "requirements-serving.txt"
FORBIDDEN = ("tensorflow", "jax", "keras", "apache_beam")


def install(folder: Path) -> Path:
    """Makes the environment and returns its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", REQUIREMENTS], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", ROOT], check=True)
    return python


def answers(python: Path, films: Path, output: Path) -> list[dict[str, object]]:
    """What `predict` says of the films, started away from this folder."""
    command = [str(python), "-m", "cxr_keras3.predict", films.absolute(), "--output", output.absolute()]
    subprocess.run(command, check=True, cwd=output.parent, capture_output=True)
    return [json.loads(line) for line in output.read_text().splitlines()]


def main() -> None:
    """Prints what was found, and ends with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a new folder")
    folder: Path = parser.parse_args().output
    films = folder / "films"
    films.mkdir(parents=True)
    for label in LABELS:
        (films / f"{label}.png").write_bytes(images.encode_png(phantom.draw(label, seed=3, index=0)[0]))
    python = install(folder / "environment")
    size = sum(file.stat().st_size for file in (folder / "environment").rglob("*") if file.is_file())
    print(f"the environment has {size / 1e6:.0f} MB")
    there, here = (
        answers(each, films, folder / f"{name}.jsonl")
        for each, name in ((python, "there"), (Path(sys.executable), "here"))
    )
    for row in there:
        print(f"{Path(str(row['file'])).name}: flag {row['flag']}, abnormal score {row['abnormal_score']:.4f}")
    found = subprocess.run(
        [python, "-c", f"import importlib.util as u; print([n for n in {FORBIDDEN} if u.find_spec(n)])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    helps = [
        subprocess.run([python, "-m", name, "--help"], check=False, capture_output=True, cwd=folder).returncode
        for name in ("demo", "cxr_keras3.pacs", "cxr_keras3.serve", "cxr_keras3.predict")
    ]
    started = subprocess.run([python, "-c", "import demo.app, cxr_keras3.pacs.service"], check=False, cwd=folder)
    print(f"answers alike: {there == here}; of {FORBIDDEN} there are {found}; helps end with {helps}")
    sys.exit(int(there != here or found != "[]" or any(helps) or started.returncode != 0))


if __name__ == "__main__":
    main()
