"""Headers and sizes: what every answer carries, and how large a request, and all uploads together, may be."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from demo.quota import Quota

MAX_REQUEST_BYTES = 512 * 2**20
"""Largest request taken: the browser sends all files of a worklist in one."""
# Gradio evaluates its templates, hence 'unsafe-eval'; nothing is loaded from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors {framed_by}"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class TooLargeError(Exception):
    """A request's body grew beyond `MAX_REQUEST_BYTES`."""


class Guard:
    """Sets the headers of every answer and cuts off requests that are too large, whatever length they claim."""

    def __init__(self, application: Application, *, framed_by: str | None = None) -> None:
        """Takes the application.

        Args:
            application: Answers what is not too large.
            framed_by: The origin whose pages may show this one in a frame; None for none.
        """
        self._application = application
        self._quota = Quota()
        self._headers = HEADERS | {"content-security-policy": _POLICY.format(framed_by=framed_by or "'none'")}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI asks."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        uploads = scope["path"].endswith("/upload")
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if not claimed.isdigit() or int(claimed) > MAX_REQUEST_BYTES:
            await _refuse(send)
            return
        if uploads and not await self._quota.has_room(int(claimed)):
            await refuse(send, 507, "The server holds all the uploads that it may: try again in an hour.")
            return
        await self._bounded(scope, receive, send, uploads=uploads)

    async def _bounded(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, *, uploads: bool) -> None:
        """Has a request answered, and cuts it off where its body is longer than it claimed."""
        received, started = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            if uploads:
                self._quota.add(size)
            if received > MAX_REQUEST_BYTES:
                raise TooLargeError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._added(message["headers"], asset="/assets/" in scope["path"])
            await send(message)

        try:
            await self._application(scope, counted, with_headers)
        except TooLargeError:
            if not started:
                await _refuse(send)

    def _added(self, given: list[tuple[bytes, bytes]], *, asset: bool) -> list[tuple[bytes, bytes]]:
        """An answer's headers with ours; the page's own scripts, named after their hash, may be kept by the browser."""
        ours = {name: value for name, value in self._headers.items() if not (asset and name == "cache-control")}
        kept = [(name, value) for name, value in given if name.decode("latin-1").lower() not in ours]
        return kept + [(name.encode(), value.encode()) for name, value in ours.items()]


async def _refuse(send: Send) -> None:
    await refuse(
        send, 413, f"A request may have {MAX_REQUEST_BYTES // 2**20} MiB, this one has more: send fewer files."
    )


async def refuse(send: Send, status: int, text: str) -> None:
    """Answers with a line of text, and closes."""
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
