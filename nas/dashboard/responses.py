"""Answers of the server: JSON, compressed where the browser takes it, and errors as one clear sentence."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nas.page.packing import json_bytes

MIN_COMPRESSED_BYTES = 1_000
COMPRESSION_LEVEL = 1
"""Of answers that are made anew: level 6 is a tenth smaller and takes four times as long."""
NO_STORE = "no-store"
LINGER_S = 3.0
MAX_THROWN_AWAY_BYTES = 32 * 1024 * 1024
"""Limits of what is read of a body that is too long, and thrown away, so that the browser gets the answer."""


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: the HTTP status.
        message: one sentence for the user.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)


class BodyRefusedError(RequestError):
    """A request whose body is not read to its end, since it is too long."""


def json_response(body: bytes, request: Request | None = None) -> Response:
    """JSON as an answer, compressed if it is long and the browser takes it. Compress in a thread what may be large."""
    headers = {"cache-control": NO_STORE, "vary": "accept-encoding"}
    if request is not None and len(body) >= MIN_COMPRESSED_BYTES and takes_gzip(request.headers.get("accept-encoding")):
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
    return Response(body, headers=headers, media_type="application/json")


def error_response(error: RequestError) -> Response:
    """The answer to a request that cannot be answered: `{"error": SENTENCE}`."""
    kind = LastResponse if isinstance(error, BodyRefusedError) else Response
    headers = {"cache-control": NO_STORE, **error.headers}
    return kind(json_bytes({"error": error.message}), error.status, headers, media_type="application/json")


class LastResponse(Response):
    """An answer to a request that is still being sent: the rest is thrown away for a moment, then the connection is closed.

    A browser that finds the connection closed while it sends shows no answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and end the connection."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                thrown_away = 0
                while thrown_away < MAX_THROWN_AWAY_BYTES:
                    message = await receive()
                    thrown_away += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def takes_gzip(accept_encoding: str | None) -> bool:
    """True if the header `Accept-Encoding` allows gzip."""
    for item in (accept_encoding or "").lower().split(","):
        name, _, quality = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
