"""Serves a run to other programs by the Open Inference Protocol (version 2, HTTP), with the film decoder inside.

Films are sent as files, DICOM or picture, and answered as predict answers, gate and flag included.
Not a medical device: for research only. A token for callers comes from the environment: CXR_SERVE_TOKEN.

Example: python -m cxr_keras3.serve --model runs/first --port 8080
"""

import argparse
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command

TOKEN = "CXR_SERVE_TOKEN"  # noqa: S105 -- the variable's name
LOCAL = ("127.0.0.1", "localhost", "[::1]")


def main(arguments: Sequence[str]) -> int:
    """Loads the run and serves until interrupted."""
    options = _parse(arguments)
    token = os.environ.get(TOKEN)
    if not token and not _is_loopback(options.host):
        raise UserError(f"--host beyond this machine needs a token in the environment variable {TOKEN}; set it")
    from cxr_keras3.workflows.serving import serve

    progress.say(f"address: http://{options.host}:{options.port}/v2   stop: Ctrl-C")
    return serve(
        options.model,
        site=options.site,
        runtime=options.runtime,
        host=options.host,
        port=options.port,
        token=token,
        hosts=(*LOCAL, options.host, *options.allow_host),
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--site", type=Path, help="profile of the hospital that the films come from; see cxr commission")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--port", type=int, default=8080, help="default: 8080")
    add(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name by which the server is asked for, too"
    )
    add("--runtime", choices=selection.RUNTIMES, help="what computes; see predict")
    return parser.parse_args(arguments)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    run_command(main)
