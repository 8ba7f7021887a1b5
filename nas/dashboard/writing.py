"""The bodies of requests that write: short JSON, checked before anything is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from nas.dashboard.responses import BodyRefusedError, RequestError

MAX_BODY_BYTES = 64 * 1024
MAX_BODY_WAIT_S = 15.0
MAX_NOTE_CHARS = 10_000


async def read_json(request: Request) -> dict[str, Any]:
    """The body of `request`, a JSON object; one that is too long is refused before it is read.

    Raises:
        RequestError: it is no JSON object, or too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, f"The body must be JSON (content-type: application/json), found {kind[:80]!r}.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        raise _too_long()
    try:
        data = json.loads(await _read_body(request))
    except (ValueError, RecursionError):
        raise RequestError(400, "The body must be JSON.") from None
    if not isinstance(data, dict):
        raise RequestError(400, "The body must be a JSON object.")
    return data


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_WAIT_S):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise _too_long()
    except TimeoutError:
        raise BodyRefusedError(408, f"The body must arrive within {MAX_BODY_WAIT_S:g} s.") from None
    except ClientDisconnect:
        raise RequestError(400, "The request ended before its body.") from None
    return bytes(body)


def _too_long() -> BodyRefusedError:
    return BodyRefusedError(413, f"The body must have at most {MAX_BODY_BYTES:,} bytes.")


def text_of(data: dict[str, Any]) -> str:
    """The `text` of a note.

    Raises:
        RequestError: it is missing, no text, or too long.
    """
    text = data.get("text")
    if not isinstance(text, str):
        raise RequestError(400, f"The key `text` must be a text, found {json.dumps(text)[:80]}.")
    if len(text) > MAX_NOTE_CHARS:
        raise RequestError(413, f"A note must have at most {MAX_NOTE_CHARS:,} characters, found {len(text):,}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(400, "A note must be text in Unicode; it has half a character.") from None
    return text


def boolean_of(data: dict[str, Any], name: str) -> bool:
    """The value of `name`, true or false.

    Raises:
        RequestError: it is neither.
    """
    value = data.get(name)
    if not isinstance(value, bool):
        raise RequestError(400, f"The key `{name}` must be true or false, found {json.dumps(value)[:80]}.")
    return value
