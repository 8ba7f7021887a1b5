"""Markdown from texts that anybody may have written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nas.formatting import printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~!$])")


def escape(content: object) -> str:
    """`content` in one line in which nothing is markup or HTML."""
    plain = printable(content).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def code(content: object) -> str:
    """`content` in one line as code."""
    plain = printable(content).replace("`", "'").replace("|", r"\|")
    return f"`{plain}`" if plain.strip() else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def block(language: str, content: str) -> list[str]:
    """The lines of a block of code."""
    return [f"```{language}", *content.strip("\n").splitlines(), "```"]
