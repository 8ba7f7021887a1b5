"""Connections of browsers: one that sends no whole request in time is closed, so that it does not block others."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_WAIT_S = 15.0
"""Seconds in which the head of a request has to arrive, from the first byte or from the start of a connection."""
MAX_CONNECTIONS = 400
"""With more, one without a request is closed for each that comes; a process may have 1,024 open files."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol, which itself waits for a request without end."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A browser has connected."""
        super().connection_made(transport)
        self._start_timer()
        others = [other for other in self.connections if other is not self and not other.transport.is_closing()]
        if len(others) >= MAX_CONNECTIONS and (waiting := next(filter(_waits, others), None)) is not None:
            waiting.transport.close()

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived."""
        super().data_received(data)
        if not _waits(self):
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(MAX_WAIT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _waits(protocol: object) -> bool:
    """True if no request is being answered on the connection."""
    return isinstance(protocol, H11Protocol) and (protocol.cycle is None or protocol.cycle.response_complete)
