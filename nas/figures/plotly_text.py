"""Texts in figures: plotly reads some markup in names, ticks, titles and hover boxes."""

from __future__ import annotations

import html


def plotly_text(text: str) -> str:
    """`text` as plotly shows it literally. Quotes stay: plotly would show their entities."""
    return html.escape(text, quote=False)
