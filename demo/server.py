"""The web server: the page on FastAPI and uvicorn, with limits, headers and a place to ask whether it lives."""

import contextlib
import inspect
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from demo.doorkeeper import Doorkeeper
from demo.guard import Application, Guard
from demo.pages import STATIC
from demo.prefix import Prefix
from demo.quota import UPLOAD_FOLDER_VARIABLE

MAX_UPLOAD_BYTES = 100 * 2**20
"""Largest file taken, a zip archive included."""
QUEUE_LENGTH = 200
"""Requests that may wait; a further one is told to come back later."""
AT_ONCE = 4
"""Single films scored at once; they share the processor's cores with the worklists, see `demo.jobs`."""
SESSIONS = 256
"""Gradio's sessions remembered, each call by a program being one; it keeps some 90 kB for each, by default of 10,000.
Nothing of a reader's lies in them: see `demo.jobs`."""
DELETE_AFTER_SECONDS = 3600
"""Age at which an upload is deleted whose session has not ended; those of ended sessions go at once."""
IDLE_SECONDS = 30
"""For which a connection is kept between two requests. Programs keep theirs for five seconds: a server that closes it
at the same moment loses the request that comes just then."""
STATUS_SECONDS = 10.0
"""Between messages on the place in the queue. Gradio keeps them until they are read, and by default tells everyone who
waits whenever an answer is ready: for a client that reads none they would pile up."""
_PREFIX, _LOCK = "cxr_keras3-demo-", "lock"


def import_gradio(folder: Path) -> None:
    """Imports Gradio with the settings that it reads then: no telemetry, uploads in a folder of ours.

    Nor may it compare the stubs beside its components' files, which only editors read, with what they should be: that
    is nearly half of the time of its import. It leaves out a component of which `inspect` finds no file.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ[UPLOAD_FOLDER_VARIABLE] = str(folder)
    getfile = inspect.getfile

    def file_of(thing: Any) -> str:  # noqa: ANN401 -- as inspect's own
        if sys._getframe(1).f_globals.get("__name__") == "gradio.component_meta":  # noqa: SLF001 -- who asks
            raise OSError
        return getfile(thing)

    inspect.getfile = file_of  # type: ignore[assignment]  # it takes what inspect's own takes
    try:
        import gradio  # noqa: F401, PLC0415
    finally:
        inspect.getfile = getfile


@contextlib.contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder for uploads that only this user may read and that goes when the server ends.

    One that a killed server left is swept first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(UserError, OSError), files.exclusive(left / _LOCK, rule="", remedy=""):
            shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX) as folder,
        files.exclusive(Path(folder) / _LOCK, rule="an upload folder is one server's", remedy="start again"),
    ):
        yield Path(folder)


def application(
    page: Any,  # noqa: ANN401 -- Gradio's Blocks
    *,
    model: str,
    login: tuple[str, str] | None,
    hosts: Collection[str] = (),
    root: str = "",
    framed_by: str | None = None,
) -> Application:
    """The page as an ASGI application.

    Args:
        page: From `demo.app.build`.
        model: What /healthz names.
        login: User and password that the page asks for; None for none. /healthz asks for none.
        hosts: See `doorkeeper.Doorkeeper`.
        root: See `prefix.Prefix`.
        framed_by: See `guard.Guard`.
    """
    import fastapi  # noqa: PLC0415 -- --help answers without it
    import gradio as gr  # noqa: PLC0415
    from fastapi.staticfiles import StaticFiles  # noqa: PLC0415
    from gradio import processing_utils  # noqa: PLC0415

    from demo import theme  # noqa: PLC0415

    # Gradio would fetch any address that a client names in place of a file.
    processing_utils.async_ssrf_protected_download = _fetch_nothing
    page.queue(
        status_update_rate=STATUS_SECONDS, max_size=QUEUE_LENGTH, default_concurrency_limit=AT_ONCE, api_open=False
    )
    page.state_session_capacity = SESSIONS
    # Only `launch` sets this. Without it Gradio takes any file of this machine for an upload.
    page.has_launched = True
    server = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @server.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "model": model}

    server.mount("/scripts", StaticFiles(directory=STATIC))
    mounted = gr.mount_gradio_app(
        server,
        page,
        path="/",
        auth=login,
        auth_message="Chest X-ray reader",
        show_error=False,
        max_file_size=MAX_UPLOAD_BYTES,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        theme=theme.theme(),
        head=theme.head(),
    )
    return Guard(Doorkeeper(Prefix(mounted, root), hosts=hosts), framed_by=framed_by)


async def _fetch_nothing(*_: object, **__: object) -> str:
    raise ValueError("films are uploaded; this server fetches nothing")


def listen(host: str, port: int) -> socket.socket:
    """Takes the address, before anything is loaded that would be for nothing.

    Raises:
        UserError: Where it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"cannot listen on {host}, port {port} ({error.strerror}); choose another --port") from error


def serve(served: Application, *, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Serves until interrupted or told to end.

    Logs hold no requests and of errors only where in the code they arose: requests and messages name files, and files
    are named after patients.
    """
    import uvicorn  # noqa: PLC0415 -- --help answers without it

    handler = logging.StreamHandler()
    handler.setFormatter(_Frames("%(levelname)s: %(name)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    traceback.print_exc = _print_frames  # Gradio's way to log
    signal.signal(signal.SIGTERM, _end)  # uvicorn sends it again when it has ended; uploads must go first
    from demo.patience import PatientProtocol  # noqa: PLC0415 -- imports uvicorn

    settings = uvicorn.Config(
        served,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=IDLE_SECONDS,
    )
    host, port = listening.getsockname()[:2]
    say(f"serving on http://{f'[{host}]' if ':' in host else host}:{port}")
    uvicorn.Server(settings).run(sockets=[listening])


def _end(*_: object) -> None:
    sys.exit(0)


def _frames(error: BaseException | None) -> str:
    """Where an exception arose and of what kind it is, without its message."""
    if error is None:
        return ""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return f"{''.join(lines)}{type(error).__name__} (its message is left out, it may name a patient)\n"


def _print_frames(*_: object, **__: object) -> None:
    sys.stderr.write(_frames(sys.exc_info()[1]))


class _Frames(logging.Formatter):
    """Formats exceptions by `_frames`."""

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 -- logging's own
        return _frames(ei[1])
