"""JSON from files that may be damaged or hostile: whatever is wrong with it is a `ValueError`. No torch."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value of the JSON `text`; NaN, infinities and lone surrogates, as Python writes them, are read, too.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
