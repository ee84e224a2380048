"""The gateway's command, once its arguments are read: connect, load the run, and work until told to stop."""

import argparse
import signal
from pathlib import Path
from threading import Event, Thread

from cxr_keras3 import serving
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.pacs import archive, connection, fhir, monitoring, service, state
from cxr_keras3.run.folder import Run

GRACE = 3.0
"""Seconds that work in hand is given to end."""


def serve(options: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT, and returns 0 then; with --dry-run says what it would do, and returns.

    Args:
        options: The command's arguments.

    Raises:
        UserError: Where the archive does not let us search, or the run cannot serve.
    """
    run = Run.open(options.model, site=options.site)
    client = connection.connect(
        options.dicomweb,
        user=options.user,
        ca_bundle=options.ca_bundle,
        client_cert=options.client_cert,
        client_key=options.client_key,
    )
    sends = options.fhir and not options.dry_run
    receiver = fhir.receiver(options.fhir, ca_bundle=options.ca_bundle) if sends else None
    try:
        next(archive.studies(client, days=0), None)
    except connection.RefusedError as error:
        raise UserError(
            f"--dicomweb must be an archive that lets us search: {error}; check address and access"
        ) from error
    except connection.ServerAwayError as error:
        if options.dry_run:
            raise UserError(f"--dicomweb must be an archive that answers: {error}; check address and access") from error
        progress.say(f"note: {error}; waiting for it")
    with Decoders(1) as decoders:
        predictor = serving.load(run, runtime=options.runtime, decode=decoders.decode)
        progress.say(f"model: {run.folder}, {predictor.description}, fingerprint {run.fingerprint}")
        for notice in predictor.notices:
            progress.say(f"note: {notice}")
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with state.opened(options.state if not options.dry_run else None, model=run.fingerprint) as known:
            told = monitoring.Monitoring()
            gateway = service.Gateway(
                client, predictor, known, told, days=options.days, settle_seconds=options.settle, fhir=receiver
            )
            if options.dry_run:
                _rehearse(gateway, stop)
                return 0
            monitoring.serve_monitoring(told, options.metrics)
            progress.say(
                f"state: {options.state}   metrics: http://{options.metrics}/metrics   stop: Ctrl-C or SIGTERM"
            )
            _work(gateway, stop, poll_seconds=options.poll)
    progress.say("stopped")
    return 0


def explain(study_uid: str, *, state_path: Path, run_dir: Path | None, site: Path | None) -> int:
    """Prints what the state file knows of a study; returns 0.

    Raises:
        UserError: Where it knows nothing.
    """
    name, record = state.explain(state_path, study_uid, model=Run.open(run_dir, site=site).fingerprint)
    if record is None:
        raise UserError(f"the gateway never saw this study, which its log would call {name}; check --model and --days")
    print(f"{record.stage}, in logs {name}", *record.reasons, sep="\n")  # noqa: T201 -- what was asked for
    return 0


def _work(gateway: service.Gateway, stop: Event, *, poll_seconds: float) -> None:
    """Works in a thread, so that a server that drips its answer cannot hold up the end.

    What the thread was at is then as after a kill, which the state withstands.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            service.work(gateway, stop=stop, poll_seconds=poll_seconds)
        except BaseException as error:  # noqa: BLE001 -- raised below, in the main thread
            failures.append(error)

    worker = Thread(target=work, daemon=True)
    worker.start()
    while worker.is_alive() and not stop.wait(0.2):
        pass
    worker.join(GRACE)
    if worker.is_alive():
        progress.say("note: an answer of the archive was still awaited; the next start takes that study up again")
    elif failures:
        raise failures[0]


def _rehearse(gateway: service.Gateway, stop: Event) -> None:
    """Prints what would be stored."""
    try:
        for line in service.rehearse(gateway, stop=stop):
            print(line, flush=True)  # noqa: T201 -- what was asked for
    except (connection.RefusedError, connection.ServerAwayError) as error:
        raise UserError(f"the archive must answer to the end, it does not: {error}; try again") from error
