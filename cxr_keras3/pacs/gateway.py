"""The gateway's command, once its arguments are read: connect, load the run, and work until told to stop."""

import argparse
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread

from cxr_keras3 import serving
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.pacs import archive, connection, fhir, monitoring, performer, service, state
from cxr_keras3.pacs.withdrawals import Withdrawals
from cxr_keras3.pacs.work_list import SCHEDULED, WorkList
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
    access = connection.Access(options.user, options.ca_bundle, options.client_cert, options.client_key)
    client = connection.connect(options.dicomweb, access)
    work_list = _work_list(options, access)
    sends = options.fhir and not options.dry_run
    receiver = fhir.receiver(options.fhir, ca_bundle=options.ca_bundle) if sends else None
    _try_server("--dicomweb", lambda: next(archive.studies(client, days=0), None), wait=not options.dry_run)
    if work_list:
        _try_server("--work-list", lambda: work_list.uids(SCHEDULED), wait=not options.dry_run)
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
                _rehearse(gateway, work_list, stop)
                return 0
            monitoring.serve_monitoring(told, options.metrics)
            progress.say(
                f"state: {options.state}   metrics: http://{options.metrics}/metrics   stop: Ctrl-C or SIGTERM"
            )
            work(_one_pass(gateway, work_list, stop), told=told, stop=stop, poll_seconds=options.poll)
    progress.say("stopped")
    return 0


def _work_list(options: argparse.Namespace, access: connection.Access) -> WorkList | None:
    if bool(options.work_list) != bool(options.station):
        raise UserError("--work-list and --station must be given together, received one; see --help")
    if not options.work_list:
        return None
    url = options.work_list.rstrip("/")
    return WorkList(url, access.session("--work-list", url), options.station)


def _try_server(option: str, ask: Callable[[], object], *, wait: bool) -> None:
    """Sees whether a server lets us work; one that is away is waited for later on, where there is time to wait."""
    try:
        ask()
    except connection.RefusedError as error:
        raise UserError(f"{option} must be a server that lets us search: {error}; check address and access") from error
    except connection.ServerAwayError as error:
        if not wait:
            raise UserError(f"{option} must be a server that answers: {error}; check address and access") from error
        progress.say(f"note: {error}; waiting for it")


def _one_pass(gateway: service.Gateway, work_list: WorkList | None, stop: Event) -> Callable[[], None]:
    """What is gone through: the archive's studies, or the work list where there is one."""
    if work_list is None:
        return partial(service.pass_over, gateway, stop=stop)
    title = f"CXR{gateway.state.pseudonym('title')[:13]}".upper()
    performs = performer.Performer(gateway, work_list, Withdrawals(work_list, title))
    return partial(performer.pass_over, performs, stop=stop)


def explain(study_uid: str, *, state_path: Path, run_dir: Path | None, site: Path | None) -> int:
    """Prints what the state file knows of a study; returns 0.

    Raises:
        UserError: Where it knows nothing.
    """
    name, record = state.explain(state_path, study_uid, model=Run.open(run_dir, site=site).fingerprint)
    if record is None:
        raise UserError(f"the gateway never saw this UID, which its log would call {name}; check --model and --state")
    print(f"{record.stage}, in logs {name}", *record.reasons, sep="\n")  # noqa: T201 -- what was asked for
    return 0


def work(one_pass: Callable[[], None], *, told: monitoring.Monitoring, stop: Event, poll_seconds: float) -> None:
    """Works as `service.work` does, in a thread, so that a server that drips its answer cannot hold up the end.

    What the thread was at is then as after a kill, which the state withstands.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            service.work(one_pass, told=told, stop=stop, poll_seconds=poll_seconds)
        except BaseException as error:  # noqa: BLE001 -- raised below, in the main thread
            failures.append(error)

    worker = Thread(target=run, daemon=True)
    worker.start()
    while worker.is_alive() and not stop.wait(0.2):
        pass
    worker.join(GRACE)
    if worker.is_alive():
        progress.say("note: an answer of the archive was still awaited; the next start takes up what was in hand")
    elif failures:
        raise failures[0]


def _rehearse(gateway: service.Gateway, work_list: WorkList | None, stop: Event) -> None:
    """Prints what would be stored."""
    try:
        studies = performer.studies(work_list) if work_list else archive.studies(gateway.client, days=gateway.days)
        for line in service.rehearse(gateway, studies, stop=stop):
            print(line, flush=True)  # noqa: T201 -- what was asked for
    except (connection.RefusedError, connection.ServerAwayError) as error:
        raise UserError(f"the archive must answer to the end, it does not: {error}; try again") from error
