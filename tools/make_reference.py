"""Makes `cxr_keras3/reference`, the model that comes with the package, of a finished run.

    python -m tools.make_reference runs/reference

What ships is what serves: the export to OpenVINO, calibration, gate, evaluation and model card. What trains on
(`model.keras`) is left out, as is the report, for it shows films. `nox -s reference` makes the run.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3 import artifact, progress
from cxr_keras3.errors import UserError, run_command
from cxr_keras3.inference import runtimes

FILES = (artifact.MANIFEST, artifact.CALIBRATION, artifact.GATE, artifact.MODEL_CARD)
LICENCE = Path(__file__).with_name("reference_licence.txt")
MAX_BYTES = 5_000_000


def main(arguments: Sequence[str]) -> int:
    """Writes the folder and says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run that training finished, with its audit")
    parser.add_argument("--output", type=Path, default=artifact.REFERENCE)
    options = parser.parse_args(arguments)
    if not artifact.is_complete(options.run):
        raise UserError(f"{options.run} must be trained and evaluated to the end; give its command again")
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    for name in FILES:
        shutil.copy(options.run / name, options.output)
    shutil.copy(LICENCE, options.output / "LICENSE.txt")
    exported = runtimes.export_folder(options.run, "openvino")
    shutil.copytree(exported, runtimes.export_folder(options.output, "openvino"))
    evaluated = options.output / artifact.EVALUATION
    evaluated.mkdir()
    for path in sorted((options.run / artifact.EVALUATION).iterdir()):
        if path.suffix in {".json", ".csv"}:
            shutil.copy(path, evaluated)
    size = sum(file.stat().st_size for file in options.output.rglob("*") if file.is_file())
    progress.say(f"{options.output}: {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        raise UserError(f"the reference model must have at most {MAX_BYTES / 1e6:g} MB, this has {size / 1e6:.2f}")
    return 0


if __name__ == "__main__":
    run_command(main)
