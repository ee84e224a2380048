"""Serves a web page that scores chest X-rays, on this machine only unless told otherwise.

Example: python -m demo --model runs/first
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3 import _backend, progress
from cxr_keras3.errors import run_command


def main(arguments: Sequence[str]) -> int:
    """Loads the run and serves the page until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, metavar="RUN", help="run folder; the latest in runs/ when left out")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument(
        "--runtime",
        choices=("openvino", *_backend.BACKENDS),
        help="what computes; openvino where RUN is exported to it, else Keras on jax",
    )
    options = parser.parse_args(arguments)
    from cxr_keras3 import artifact  # noqa: PLC0415 -- --help answers without it

    run_dir = options.model or artifact.latest_run()
    artifact.load_manifest(run_dir)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    from cxr_keras3 import inference  # noqa: PLC0415 -- --help answers without it

    progress.say(f"model: {run_dir}")
    predictor = inference.load(run_dir, runtime=options.runtime)
    progress.say(predictor.description)
    from demo import app  # noqa: PLC0415

    app.launch(predictor, host=options.host, port=options.port)
    return 0


if __name__ == "__main__":
    run_command(main)
