"""Answers of the server: JSON, compressed where the browser takes it, and errors as one clear sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

MIN_COMPRESSED_BYTES = 1_000
COMPRESSION_LEVEL = 1
"""Of answers that are made anew: level 6 is a tenth smaller and takes four times as long."""
NO_STORE = "no-store"


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


def json_bytes(data: Any) -> bytes:
    """`data` as compact JSON in UTF-8; half code points, which names of files may have, are escaped."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def json_response(body: bytes, request: Request | None = None, status: int = 200) -> Response:
    """JSON as an answer, compressed if it is long and the browser takes it. Compress in a thread what may be large."""
    headers = {"cache-control": NO_STORE, "vary": "accept-encoding"}
    if request is not None and len(body) >= MIN_COMPRESSED_BYTES and takes_gzip(request.headers.get("accept-encoding")):
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
    return Response(body, status, headers, media_type="application/json")


def error_response(error: RequestError) -> Response:
    """The answer to a request that cannot be answered: `{"error": SENTENCE}`."""
    headers = {"cache-control": NO_STORE, **error.headers}
    return Response(json_bytes({"error": error.message}), error.status, headers, media_type="application/json")


def takes_gzip(accept_encoding: str | None) -> bool:
    """True if the header `Accept-Encoding` allows gzip."""
    for item in (accept_encoding or "").lower().split(","):
        name, _, quality = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
