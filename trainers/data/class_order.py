"""The order of classes: timm's, so that labels agree with those of timm's own reader of folders.

timm sorts the names of folders without regard to case, and runs of digits by their value: `1, 2, 3, 10`, not `1, 10, 2, 3`
(`natural_key` in `timm/utils/misc.py`). Names that are equal in this order, such as `cat` and `Cat`, or `1` and `01`, have no
fixed order in timm; here they are in the order of their characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def natural_key(name: str) -> list[int | str]:
    """What timm sorts the names of classes by: text in lower case and numbers, in turns."""
    # The odd pieces are runs of digits. timm asks `isdigit` instead, and fails on names such as "x²".
    return [int(piece) if index % 2 else piece for index, piece in enumerate(re.split(r"(\d+)", name.lower()))]


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in timm's order."""
    return tuple(sorted(names, key=lambda name: (natural_key(name), name)))
