"""JSON in little room, for pages without a server: compressed by gzip, as base64. The script unpacks it (`source.js`)."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from nas.formatting import finite_or_none


def packed(data: Any) -> str:
    """`data` as text; equal for equal data."""
    return base64.b64encode(gzip.compress(json_bytes(data), mtime=0)).decode("ascii")


def json_bytes(data: Any) -> bytes:
    """`data` as compact JSON in UTF-8. Numbers that are not finite, which attributes may have, are null; half code points, which
    names of files may have, are escaped.
    """
    try:
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(item) for item in data]
    return finite_or_none(data) if isinstance(data, float) else data
