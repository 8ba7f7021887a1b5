"""JSON in little room, for pages without a server: compressed by gzip, as base64. The script unpacks it (`source.js`)."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def packed(data: Any) -> str:
    """`data` as text; equal for equal data."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="backslashreplace"), mtime=0)).decode("ascii")
