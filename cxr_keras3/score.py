"""Scores films in bulk on Ray, on this machine or a cluster, into Parquet tables; a rerun completes what is missing.

Not a medical device: for research only.

Example: python -m cxr_keras3.score --model runs/first films/ shards/2023.tar s3://bucket/films --output scores
"""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError, run_command

MISSING_RAY = "bulk scoring needs Ray; python -m pip install 'cxr_keras3[ray]'"


def main(arguments: Sequence[str]) -> int:
    """Scores what the output lacks; returns 3 where some files could not be scored."""
    options = _parse(arguments)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else Ray reports to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else this process repeats what is in Ray's log files
    if importlib.util.find_spec("ray") is None:
        raise UserError(MISSING_RAY)
    from cxr_keras3.bulk.scoring import score

    return score(
        options.inputs,
        output=options.output,
        run_dir=options.model,
        address=options.address,
        runtime=options.runtime,
        site=options.site,
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image file, folder, pattern in quotes, zip or tar archive, .parquet file with the column path, or a URI "
        "that fsspec knows, such as s3://bucket/films; what lies on disks must be seen by the whole cluster",
    )
    add("--output", required=True, metavar="DIR", help="folder or URI for the tables; one that exists is completed")
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--site", type=Path, help="profile of the hospital that the films come from; see cxr commission")
    add(
        "--address",
        default="local",
        help="local starts Ray on this machine (the default), auto joins the cluster this machine belongs to; else "
        "the cluster's HOST:PORT",
    )
    add(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; jax where the cluster has a GPU and RUN its model, else openvino where RUN is exported to "
        "it, else Keras on $KERAS_BACKEND or jax",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
