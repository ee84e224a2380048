"""A path below which the page is served, as behind a proxy that serves more than this."""

import re
from collections.abc import MutableMapping
from typing import Any

from demo.guard import Application, Message, Receive, Send

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_SLASH = 307


class Prefix:
    """Tells the application below which path it is reached, whether or not the proxy takes that away.

    The path is that of the header X-Forwarded-Prefix where a proxy sends it, else the one given.
    """

    def __init__(self, application: Application, root: str) -> None:
        """Takes the application.

        Args:
            application: Answers below the path.
            root: The path, for example "/cxr"; empty for none.
        """
        self._application, self._root = application, root

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI asks."""
        prefix = self._root
        if scope["type"] in ("http", "websocket"):
            said = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1").rstrip("/")
            prefix = said if _PREFIX.fullmatch(said) else prefix
        if not prefix or scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
        elif scope["path"] == prefix:  # addresses on the page are relative to it
            headers = [(b"location", f"{prefix}/".encode()), (b"content-length", b"0")]
            message: Message = {"type": "http.response.start", "status": _SLASH, "headers": headers}
            await send(message)
            await send({"type": "http.response.body", "body": b""})
        else:
            path = scope["path"] if scope["path"].startswith(f"{prefix}/") else prefix + scope["path"]
            await self._application(dict(scope) | {"root_path": prefix, "path": path}, receive, send)
