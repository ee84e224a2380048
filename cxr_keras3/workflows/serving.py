"""Serving a run over HTTP: the run, decoders that strangers' files cannot harm, and a web server around them."""

import socket
from collections.abc import Collection
from pathlib import Path

import uvicorn

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import http, load

MAX_CONNECTIONS = 32  # each may hold a request in memory; a further one is answered with status 503
GRACE = 10  # seconds that requests in hand are given at the end


def serve(
    run_dir: Path | None,
    *,
    site: Path | None,
    runtime: str | None,
    host: str,
    port: int,
    token: str | None,
    hosts: Collection[str],
) -> int:
    """Serves until SIGINT or SIGTERM, and returns 0 then.

    Args:
        run_dir: The run; the reference model when None.
        site: Profile of the hospital that the films come from; None where that is not known.
        runtime: See `cxr_keras3.serving.runtimes.load_runtime`.
        host: Address to listen on.
        port: Port to listen on.
        token: See `http.application`.
        hosts: See `http.application`.

    Raises:
        UserError: Where the run cannot be served, or the address is taken.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise UserError(f"--host and --port must be a free address, received {host}:{port} ({error})") from error
    with listening, Decoders() as decoders:
        predictor = load(Run.open(run_dir, site=site), runtime=runtime, decode=decoders.decode)
        progress.say(f"model: {predictor.run.name}, {predictor.description}, fingerprint {predictor.run.fingerprint}")
        for notice in predictor.notices:
            progress.say(f"note: {notice}")
        settings = uvicorn.Config(
            http.application(predictor, token=token, hosts=hosts),
            log_level="warning",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
        uvicorn.Server(settings).run(sockets=[listening])
    return 0
