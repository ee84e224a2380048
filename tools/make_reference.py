"""Makes `cxr_keras3/reference`, the model that comes with the package, of a finished run.

    python -m tools.make_reference runs/reference-training/reference

What ships is what serves and what can be trained on: the export to OpenVINO, the model, calibration, gate, evaluation
and model card. The report is left out, for it shows films. `nox -s reference` makes the run.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.run.collections import COLLECTIONS
from cxr_keras3.run.filling import is_complete
from cxr_keras3.run.folder import (
    ABNORMALITY,
    CALIBRATION,
    EVALUATION,
    GATE,
    MANIFEST,
    MODEL,
    MODEL_CARD,
    REFERENCE,
    Run,
)

FILES = (MANIFEST, MODEL, CALIBRATION, ABNORMALITY, GATE, MODEL_CARD)
LICENCE = Path(__file__).with_name("reference_licence.txt")
MAX_BYTES = 5_000_000


def main(arguments: Sequence[str]) -> int:
    """Writes the folder and says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run that training finished, with its audit")
    parser.add_argument("--output", type=Path, default=REFERENCE)
    options = parser.parse_args(arguments)
    run = Run.open(options.run)
    if not is_complete(options.run):
        raise UserError(f"{options.run} must be trained and evaluated to the end; give its command again")
    files = [options.run / name for name in FILES]
    files += sorted(run.export_folder("openvino").iterdir())
    for results in (EVALUATION, COLLECTIONS):
        files += [path for path in sorted((options.run / results).glob("*")) if path.suffix in {".json", ".csv"}]
    size = sum(file.stat().st_size for file in (LICENCE, *files))
    if size > MAX_BYTES:
        raise UserError(
            f"the reference model must have at most {MAX_BYTES / 1e6:g} MB, {options.run} has {size / 1e6:.2f}; take "
            "fewer members or a smaller backbone"
        )
    shutil.rmtree(options.output, ignore_errors=True)
    for file in files:
        target = options.output / file.relative_to(options.run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    shutil.copy(LICENCE, options.output / "LICENSE.txt")
    progress.say(f"{options.output}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    run_command(main)
