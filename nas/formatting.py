"""Numbers for people: the one place where values become text in tables, figures and reports.

Large numbers carry an SI prefix and three digits (`1.23 M MACs`), ratios four decimals (`0.9722`), times two units
(`2 h 03 min`). A value that is missing is a dash. Files for machines (JSON, CSV) never pass through here.
"""

from __future__ import annotations

import math

from nas.objectives import Objective

MISSING = "–"  # noqa: RUF001 - an en dash is what tables print for a missing value
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def si(value: float | None, unit: str = "") -> str:
    """`si(1234567, "MACs")` is `1.23 M MACs`; below a thousand a whole number stays whole: `842 MACs`."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{_digits(float(value))} {unit}".rstrip()


def count(number: int, what: str) -> str:
    """`count(1, "trial")` is `1 trial`, `count(1200, "trial")` is `1,200 trials`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def ratio(value: float | None) -> str:
    """`ratio(0.97222)` is `0.9722`."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4f}"


def value_text(objective: Objective, value: float | None, *, unit: bool = True) -> str:
    """A value of `objective`: three digits where ratios matter, else four decimals; with its unit unless told."""
    name = objective.unit if unit else ""
    if value is None or math.isnan(value):
        return MISSING
    return si(value, name) if objective.log else f"{ratio(value)} {name}".rstrip()


def duration(seconds: float | None) -> str:
    """`4.2 s`, `1 min 05 s`, `2 h 03 min`, `3 d 04 h`."""
    if seconds is None or math.isnan(seconds):
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
    """Three significant digits and a prefix."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = float(f"{value:.3g}")  # first, so that 999,960 is 1.00 M and not 1000 k
    for factor, prefix in _PREFIXES:
        if abs(rounded) >= factor:
            return f"{_three(rounded / factor)} {prefix}"
    return str(round(value)) if value == round(value) else _three(rounded)


def _three(value: float) -> str:
    """`1.23`, `12.3`, `123`; smaller than one, three digits after the zeros."""
    size = abs(value)
    if size >= 1000:
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}"
    return f"{value:.3g}"


def finite_or_none(value: float) -> float | None:
    """`value` as JSON has it: None if it is not finite."""
    return value if math.isfinite(value) else None
