"""Connections: how many one address may hold, and how long a request may take to be said.

uvicorn waits for ever for the end of a request's head or body; some 1,200 that never end would take every file that
the system lets a process open, and with them everyone's answers.
"""

import asyncio
from collections import Counter

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its head."""
BODY_SECONDS = 30.0
"""Between two pieces of a body."""
CONNECTIONS = 256
"""Of one address at a time; a browser holds six, a proxy some dozens. A client that opens a connection for each of a
hundred requests at once may hold twice as many, since those it has closed count until that is noticed."""

_held: Counter[str] = Counter()


class PatientProtocol(H11Protocol):
    """HTTP with an end to patience."""

    _timer: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Counts the connection, and closes one too many."""
        super().connection_made(transport)
        self._address = str((transport.get_extra_info("peername") or ("",))[0])
        _held[self._address] += 1
        if _held[self._address] > CONNECTIONS:
            transport.abort()
        else:
            self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._wait(None)
        _held[self._address] -= 1
        if _held[self._address] <= 0:
            del _held[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes a piece, and waits for the next only where the request lacks one."""
        waiting_for_head = self._is_waiting_for_head()
        super().data_received(data)
        if self._is_waiting_for_head():
            if not waiting_for_head or self._timer is None:
                self._wait(HEAD_SECONDS)
        else:
            self._wait(BODY_SECONDS if self.cycle.more_body else None)

    def on_response_complete(self) -> None:
        """Leaves an idle connection to uvicorn's own limit."""
        self._wait(None)
        super().on_response_complete()

    def _is_waiting_for_head(self) -> bool:
        cycle = self._last_cycle()
        return cycle is None or cycle.response_complete

    def _last_cycle(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, whatever its annotation says

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.flow.read_paused:  # we are the slow ones
            self._wait(BODY_SECONDS)
        elif not self.transport.is_closing():
            self.transport.abort()
