"""How values become text in tables, figures and reports.

Large numbers get an SI prefix and three digits (`1.23 M MACs`), ratios four decimals (`0.9722`), durations two units
(`2 h 03 min`). A missing value is a dash. JSON and CSV output does not use this module.
"""

from __future__ import annotations

import math
import shlex
import unicodedata
from pathlib import Path

from nas.objectives import Objective

MISSING = "–"  # noqa: RUF001 - tables print an en dash for a missing value
TIMES = "×"  # noqa: RUF001 - the multiplication sign is meant
_BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def si(value: float | None, unit: str = "") -> str:
    """`si(1234567, "MACs")` is `1.23 M MACs`; whole numbers below 1,000 have no decimals: `842 MACs`."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{_digits(float(value))} {unit}".rstrip()


def count(number: int, noun: str) -> str:
    """`count(1, "trial")` is `1 trial`, `count(1200, "trial")` is `1,200 trials`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def dimensions(*sizes: object) -> str:
    """`dimensions(16, 16, 32)` is `16 × 16 × 32`."""
    return f" {TIMES} ".join(str(size) for size in sizes)


def ratio(value: float | None) -> str:
    """`ratio(0.97222)` is `0.9722`."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4f}"


def number_text(value: float) -> str:
    """A count or a large number in full, any other with four digits: `1234567`, `79480`, `0.4435`, `1e-06`."""
    return f"{value:.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def percent(share: float) -> str:
    """A share in per cent: `25 %`, `100 %`, `6.7 %`, `0.31 %`; below a tenth, two significant digits."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def value_text(objective: Objective, value: float | None, *, unit: bool = True) -> str:
    """A value of `objective`: four decimals for a ratio (no unit, no log scale), three significant digits for all others.

    Args:
        objective: what the value is of.
        value: in the objective's unit; None or NaN if it is missing.
        unit: whether the unit is appended.
    """
    suffix = objective.unit if unit else ""
    if value is None or math.isnan(value):
        return MISSING
    return si(value, suffix) if objective.log or objective.unit else ratio(value)


def duration(seconds: float | None) -> str:
    """`4.2 s`, `1 min 05 s`, `2 h 03 min`, `3 d 04 h`."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def _digits(value: float) -> str:
    """Three significant digits and an SI prefix."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = float(f"{value:.3g}")  # before the prefix is chosen, so that 999,960 is 1.00 M and not 1000 k
    for factor, prefix in _PREFIXES:
        if abs(rounded) >= factor:
            return f"{_three_digits(rounded / factor)} {prefix}"
    return str(round(value)) if value == round(value) else _three_digits(rounded)


def _three_digits(value: float) -> str:
    """`1.23`, `12.3`, `123`; for values below 1, three digits after the leading zeros."""
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:.0f}"
    if magnitude >= 1:
        return f"{value:.{2 if magnitude < 10 else 1 if magnitude < 100 else 0}f}"
    return f"{value:.3g}"


def printable(text: object) -> str:
    r"""`text` in one line that is safe to print: control characters and bytes that are no UTF-8 as `\n`, `\x1b`, `\udce9`."""
    return "".join(
        character.encode("unicode_escape").decode() if _controls(character) else character for character in str(text)
    )


def shortened(text: str, length: int) -> str:
    """`text`, or its beginning and its end around ` ... ` if it has more than `length` characters."""
    end = length // 3
    return text if len(text) <= length else f"{text[: length - end - 5]} ... {text[-end:]}"


def _controls(character: str) -> bool:
    """True if `character` changes the terminal, ends the line, changes the direction of the text, or is a lone surrogate."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL


def shell_path(path: Path) -> str:
    """`path` as a word of a command that may be copied: `'my photos'`; a path that looks like an option begins with `./`."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def finite_or_none(value: float) -> float | None:
    """`value`, or None if it is not finite: JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
