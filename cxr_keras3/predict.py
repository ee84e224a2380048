"""Scores chest X-ray files: is it a frontal chest film, a probability for each class, how abnormal it looks.

Not a medical device: for research only.

Example: python -m cxr_keras3.predict --model runs/first film.png folder archive.zip --output results.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError, run_command


def main(arguments: Sequence[str]) -> int:
    """Scores the files named; returns 3 where some of several could not be scored."""
    options = _parse(arguments)
    from cxr_keras3.workflows.predicting import predict

    return predict(
        options.inputs,
        run_dir=options.model,
        output=options.output,
        resume=options.resume,
        heat_map_folder=options.heat_maps,
        runtime=options.runtime,
        site=options.site,
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="image file, folder of them, or zip archive; - alone reads file names from standard input, one a line",
    )
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--site", type=Path, help="profile of the hospital that the films come from; see cxr commission")
    add("--output", type=Path, help="write to this .csv, .jsonl or .parquet file rather than to the terminal")
    add("--resume", action="store_true", help="go on with an --output that an interrupted command left")
    add("--heat-maps", type=Path, metavar="DIR", help="write a picture of where each prediction comes from")
    add(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; openvino where RUN is exported to it, else Keras on $KERAS_BACKEND or jax",
    )
    options = parser.parse_args(arguments)
    if options.resume and not options.output:
        raise UserError("--resume needs the --output to go on with")
    if Path("-") in options.inputs and len(options.inputs) > 1:
        raise UserError("- must be the only input, received others too; put all file names into the list")
    return options


if __name__ == "__main__":
    run_command(main)
