"""Serves a web page that reads chest X-rays, on this machine only unless told otherwise.

  python -m demo                                        the reference model
  python -m demo --model runs/first --model runs/second two runs, to compare on the same film
  CXR_DEMO_PASSWORD=… python -m demo --user reader      asks for user and password
  python -m demo --space DIR                            writes a folder to put on the Hugging Face hub as a Space

Not a medical device: for research only. A file may have 100 MiB, a worklist 10,000 films, and 200 requests may wait.
Uploads are deleted when the page is closed, at the latest after an hour. Nothing is loaded from the internet.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command

PASSWORD_VARIABLE = "CXR_DEMO_PASSWORD"  # noqa: S105 -- the variable's name


def main(arguments: Sequence[str]) -> int:
    """Loads the runs and serves the page until interrupted."""
    options = _parse(arguments)
    if options.space:
        from cxr_keras3.run.folder import Run
        from demo.space import write_space

        write_space(Run.open(options.model[0] if options.model else None), options.space)
        progress.say(f"a Space: {options.space}; its README.md says how to put it on the hub")
        return 0
    login = _login(options.user)
    from demo.launch import launch

    launch(options, login=login)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        action="append",
        metavar="RUN",
        help="run folder; the reference model when left out; twice to compare two",
    )
    add("--site", type=Path, help="profile of the hospital that the films come from, which cxr commission writes")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which the page is reached, as behind a proxy; addresses and this machine's name are known",
    )
    add(
        "--root-path",
        default="",
        metavar="/PATH",
        help="the path below which a proxy serves the page, whether or not it takes it away",
    )
    add("--banner", metavar="SENTENCE", help="something to say on every tab")
    add("--framed-by", metavar="ORIGIN", help="whose pages may show this one in a frame, such as https://chest.example")
    add("--space", type=Path, metavar="DIR", help="write a Space of the Hugging Face hub into DIR, and serve nothing")
    add("--port", type=int, default=7860, help="default: 7860")
    add("--user", help=f"ask for this user and the password in ${PASSWORD_VARIABLE}")
    add(
        "--feedback",
        type=Path,
        metavar="DIR",
        help="where readers' answers are kept (default: RUN/feedback, of the reference model runs/reference/feedback)",
    )
    add(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; the export to OpenVINO where RUN has one, else Keras on $KERAS_BACKEND or jax",
    )
    options = parser.parse_args(arguments)
    if options.model and len(options.model) > 2:
        raise UserError(f"one run is served or two are compared, received {len(options.model)}; name at most two")
    if options.site and len(options.model or ()) > 1:
        raise UserError("a site profile is of one run, received --site and two of --model; leave one out")
    if options.space and (options.site or len(options.model or ()) > 1):
        raise UserError("a Space is of one run, without a hospital's profile; leave out --site and the second --model")
    if options.framed_by and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", options.framed_by):
        raise UserError(f"--framed-by must look like https://chest.example, received {options.framed_by!r}")
    options.root_path = options.root_path.rstrip("/")
    if options.root_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", options.root_path):
        raise UserError(f"--root-path must look like /cxr, received {options.root_path!r}; begin it with a slash")
    return options


def _login(user: str | None) -> tuple[str, str] | None:
    if user is None:
        return None
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password:
        raise UserError(f"--user needs a password in the environment variable {PASSWORD_VARIABLE}, it is empty; set it")
    return user, password


if __name__ == "__main__":
    run_command(main)
