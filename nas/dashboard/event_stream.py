"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream asks its source for the next event and waits for a signal when there is none. Nothing is queued: a browser that reads
slowly gets fewer events, each with all changes since the one before, and one that does not read for a minute is disconnected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Receive, Scope, Send

from nas.dashboard.signals import Signal

HEARTBEAT_S = 15.0
"""Interval of comments where there is no event, so that proxies keep the connection and a lost one is noticed."""
SEND_TIMEOUT_S = 60.0
RETRY_MS = 1_000
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True)
class ServerEvent:
    """An event.

    Args:
        name: its type.
        data: its content, one line of JSON.
        id: where a browser that reconnects goes on; empty: it stays where it was.
    """

    name: str
    data: bytes
    id: str = ""

    def encode(self) -> bytes:
        """Its text in a stream."""
        lines = [f"id: {self.id}".encode()] if self.id else []
        return b"\n".join([*lines, f"event: {self.name}".encode(), b"data: " + self.data, b"", b""])


class EventSource(Protocol):
    """What a stream sends; it remembers what was sent."""

    async def next(self) -> ServerEvent | None:
        """The next event, or None if there is none now."""


@dataclass(frozen=True)
class EventStream:
    """An answer that stays open and sends events until the browser or the server ends it.

    Args:
        source: of the events.
        signal: advances when the source may have another event.
        listening: entered while the stream is open.
        is_closed: whether the server ends.
    """

    source: EventSource
    signal: Signal
    listening: AbstractContextManager[object]
    is_closed: Callable[[], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        with self.listening:
            tasks = [asyncio.create_task(self._send_events(send)), asyncio.create_task(_disconnection(receive))]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        if any(isinstance(task.exception(), TimeoutError) for task in done):
            return  # the browser does not read: the server drops the connection
        for task in done:
            task.result()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        await _send_part(send, f"retry: {RETRY_MS}\n\n".encode())
        while not self.is_closed():
            version = self.signal.version
            event = await self.source.next()
            if event is not None:
                await _send_part(send, event.encode())
            elif not await self.signal.wait(version, HEARTBEAT_S):
                await _send_part(send, b": still here\n\n")


async def _send_part(send: Send, body: bytes) -> None:
    """Send `body`; `TimeoutError` if the browser does not take it."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnection(receive: Receive) -> None:
    """Wait until the browser has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
