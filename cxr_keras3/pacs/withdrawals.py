"""Others' requests to cancel our work items, told by the work list over a WebSocket (PS3.18, 8.10 and 11.10)."""

import json
import logging
import socket
import ssl
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

import requests
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from cxr_keras3.pacs.connection import TIMEOUT, RefusedError
from cxr_keras3.pacs.work_list import WorkList

CANCEL_REQUESTED = 2
"""Event Type ID of such a request (PS3.4, CC.2.4)."""

LARGEST_EVENT = 2**20
"""Bytes of an event that are read."""

_UID, _EVENT_TYPE = "00001000", "00001002"

log = logging.getLogger(__name__)


class Withdrawals:
    """Which of the work items that we hold others want cancelled.

    A request that comes while the channel is broken is not heard: servers need not repeat it.
    """

    def __init__(self, work_list: WorkList, title: str) -> None:
        """Connects to nothing yet.

        Args:
            work_list: Tells of the requests.
            title: The Application Entity title that stands for us there.
        """
        self._work_list, self._title = work_list, title
        self._lock = Lock()
        self._held: dict[str, bool] = {}  # whether it is to be cancelled
        self._channel: Thread | None = None
        self._is_unheard = False

    def listen(self, uid: str) -> None:
        """Begins to listen for requests to cancel an item. Where the work list tells of none, the log says so, once."""
        with self._lock:
            self._held.setdefault(uid, False)
        try:
            address = self._work_list.subscribe(uid, self._title)
            self._open(address)
        except RefusedError as error:
            if not self._is_unheard:
                log.warning("requests to cancel are not heard: %s", error)
            self._is_unheard = True

    def is_wanted(self, uid: str) -> bool:
        """Whether somebody wants an item cancelled that we hold."""
        with self._lock:
            return self._held.get(uid, False)

    def let_go(self, uid: str) -> None:
        """Forgets an item that we no longer hold."""
        with self._lock:
            self._held.pop(uid, None)

    def _open(self, address: str) -> None:
        """Opens the channel where it is not open, and waits until it is."""
        if self._channel and self._channel.is_alive():
            return
        self._check(address)
        is_open, failures = Event(), list[Exception]()
        self._channel = Thread(target=self._read, args=(address, is_open, failures), daemon=True)
        self._channel.start()
        is_open.wait()
        if failures:
            raise RefusedError(f"the work list's channel cannot be opened ({type(failures[0]).__name__})")

    def _check(self, address: str) -> None:
        """Lets secrets go to no other server than the work list, and not unencrypted where it is not."""
        here, there = urlsplit(self._work_list.url), urlsplit(address)
        if there.hostname != here.hostname or there.scheme != {"https": "wss", "http": "ws"}[here.scheme]:
            raise RefusedError("the work list names a channel on another server, or an unsafe one")

    def _read(self, address: str, is_open: Event, failures: list[Exception]) -> None:
        parts = urlsplit(address)
        try:
            port = parts.port or {"wss": 443, "ws": 80}[parts.scheme]
            # On a socket of ours it follows no redirect and uses no proxy.
            plain = socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT[0])
            with connect(
                address,
                sock=plain,
                ssl=_context(self._work_list.session) if parts.scheme == "wss" else None,
                proxy=None,
                compression=None,
                max_size=LARGEST_EVENT,
                additional_headers=_authorization(self._work_list.session, self._work_list.url),
            ) as channel:
                is_open.set()
                for message in channel:
                    self._hear(message)
        except (OSError, WebSocketException, ValueError) as error:
            if is_open.is_set():
                log.warning("the work list's channel broke (%s); the next item opens it again", type(error).__name__)
            failures.append(error)
        finally:
            is_open.set()

    def _hear(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
            (kind,), (uid,) = event[_EVENT_TYPE]["Value"], event[_UID]["Value"]
        except (ValueError, KeyError, TypeError):
            return  # an event of another kind, or none that can be read
        with self._lock:
            if kind == CANCEL_REQUESTED and uid in self._held:
                self._held[uid] = True


def _authorization(session: requests.Session, url: str) -> dict[str, str]:
    """The header by which a session vouches for itself."""
    prepared = requests.Request("GET", url, auth=session.auth).prepare()
    return {name: str(value) for name, value in prepared.headers.items() if name == "Authorization"}


def _context(session: requests.Session) -> ssl.SSLContext:
    """A session's certificates."""
    authorities = session.verify if isinstance(session.verify, str) else str(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    context = ssl.create_default_context(cafile=authorities)
    if session.cert:
        context.load_cert_chain(*([session.cert] if isinstance(session.cert, str) else session.cert))
    return context
