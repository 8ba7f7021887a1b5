"""Numeric columns as JSON: base64 of the little-endian bytes, which is ten times smaller than a list of numbers."""

from __future__ import annotations

import base64
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Kind: TypeAlias = Literal["f8", "f4", "i4", "u2", "u1"]


def encode(values: ArrayLike, kind: Kind) -> dict[str, Any]:
    """`values`, `(n,)`, as `{"dtype": kind, "bdata": base64}`."""
    with np.errstate(over="ignore"):  # what is too large for the type is infinite
        data = np.ascontiguousarray(values, dtype=f"<{kind}")
    return {"dtype": kind, "bdata": base64.b64encode(data.tobytes()).decode("ascii")}


def encode_codes(codes: ArrayLike, number: int) -> dict[str, Any]:
    """Codes below `number`, -1 for missing, in the smallest unsigned type; its highest value stands for missing."""
    kind: Kind = "u1" if number < 255 else "u2" if number < 65535 else "i4"
    return encode(codes, kind)


def decode(encoded: dict[str, Any]) -> Any:
    """The inverse of `encode`: an array."""
    return np.frombuffer(base64.b64decode(encoded["bdata"]), dtype=f"<{encoded['dtype']}")
