"""The error of a network that a format cannot hold."""

from __future__ import annotations

from nas.errors import UsageError


class FormatRefusedError(UsageError):
    """A format cannot hold a network.

    Args:
        format_name: the name of the format.
        operator: the operator that it does not know, such as "aten.linalg_inv_ex"; empty if another rule is broken.
        place: the module that uses it, see `nas.models.formats.graph.place_of`; empty if unknown.
        reason: why, in one line.
    """

    def __init__(self, format_name: str, operator: str, place: str, reason: str) -> None:
        self.format_name = format_name
        self.operator = operator
        self.place = place
        self.reason = reason
        super().__init__(format_name, operator, place, reason)

    def __str__(self) -> str:
        operator = f" the operator {self.operator} of" if self.operator else ""
        place = self.place or "the network"
        return f"format {self.format_name}: cannot hold{operator} {place}: {self.reason}"
