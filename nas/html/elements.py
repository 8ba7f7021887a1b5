"""Building blocks of a page's body. All texts are escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A number at the head of a page, with its label and a small note below it."""

    label: str
    value: str
    note: str = ""


def fact_list(facts: Iterable[Fact]) -> str:
    """`facts` as a row of cards."""
    cards = "\n".join(
        f'<div class="fact"><dt>{html.escape(fact.label)}</dt>'
        f"<dd>{html.escape(fact.value)}<small>{html.escape(fact.note)}</small></dd></div>"
        for fact in facts
    )
    return f'<dl class="facts">\n{cards}\n</dl>'


def item_list(lines: Iterable[str]) -> str:
    """`lines` as a bulleted list; empty without lines."""
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<ul class="sentences">\n{items}\n</ul>' if items else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose other columns are numbers, aligned right."""
    body = "\n".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{_cells('th', heads)}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    classes = ["", *[' class="number"'] * (len(texts) - 1)]
    return "".join(f"<{tag}{name}>{html.escape(text)}</{tag}>" for name, text in zip(classes, texts, strict=True))
