"""Who is let in: pages of this address alone, passwords tried slowly, and connections that say what they want.

A browser sends a reader's cookie with requests that other pages make, and a name that an attacker owns may point to
this machine (DNS rebinding). So requests are answered that name this server by an address, by a name of this machine or
by one that `--allow-host` names, and come from a page of such an address.
"""

import ipaddress
import socket
import time
from collections import deque
from collections.abc import Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from demo.guard import Application, Message, Receive, Send, refuse

LOGINS = 10
"""Passwords that one address may try in `LOGIN_SECONDS`; a reader mistypes three times, a program guesses millions."""
LOGIN_SECONDS = 60.0
REMEMBERED = 10_000
"""Addresses whose guesses are remembered."""


class Doorkeeper:
    """Lets in requests for this server, from its own pages, and passwords at the pace of a person."""

    def __init__(self, application: Application, *, hosts: Collection[str]) -> None:
        """Takes the application behind the door.

        Args:
            application: Answers what is let in.
            hosts: Names, beside addresses and the machine's own, under which the server is known.
        """
        self._application = application
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._guesses: dict[str, deque[float]] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI asks."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not self._is_ours(f"//{host}"):
            await refuse(send, 421, "This server is not known by that name; start it with --allow-host NAME.")
        elif origin and not self._is_ours(origin):
            await refuse(send, 403, "Requests of other pages are not answered.")
        elif (
            scope.get("method") == "POST" and scope["path"].rstrip("/").endswith("/login") and self._is_guessing(scope)
        ):
            await refuse(send, 429, f"Too many passwords: wait {LOGIN_SECONDS:.0f} seconds.")
        else:
            await self._application(scope, receive, _without_sharing(send))

    def _is_ours(self, address: str) -> bool:
        try:
            name = urlsplit(address).hostname or ""
        except ValueError:  # no address at all
            return False
        return name.lower() in self._hosts or _is_number(name)

    def _is_guessing(self, scope: MutableMapping[str, Any]) -> bool:
        client, now = str((scope.get("client") or ("",))[0]), time.monotonic()
        if len(self._guesses) > REMEMBERED:
            self._guesses.clear()
        tried = self._guesses.setdefault(client, deque(maxlen=LOGINS))
        if len(tried) == LOGINS and now - tried[0] < LOGIN_SECONDS:
            return True
        tried.append(now)
        return False


def _is_number(host: str) -> bool:
    """Whether a host is an IP address, which no one can make point elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_sharing(send: Send) -> Send:
    """Drops the headers by which Gradio would let any page read an answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, value)
                for name, value in message["headers"]
                if not name.lower().startswith(b"access-control-allow-")
            ]
        await send(message)

    return sent
