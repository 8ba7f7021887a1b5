"""Elements of an SVG picture as text: escaped, with colours from a style that follows the reader's colour scheme."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from nas.formatting import printable

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
STYLE = f"""
svg {{ --paper: #ffffff; --card: #f6f8fa; --edge: #d5dbe2; --ink: #1c2530; --soft: #55606e; --line: #8c97a4; --chip: #e4e9ee }}
@media (prefers-color-scheme: dark) {{
  svg {{ --paper: #12171d; --card: #1a2129; --edge: #36424e; --ink: #e8edf2; --soft: #a9b4c0; --line: #77838f; --chip: #2b3641 }}
}}
text {{ font-family: {FONT}; font-size: 12px; fill: var(--ink) }}
.title {{ font-size: 15px; font-weight: 600 }}
.name {{ font-weight: 600 }}
.soft {{ fill: var(--soft) }}
.small {{ font-size: 11px }}
.middle {{ text-anchor: middle }}
.end {{ text-anchor: end }}
.on-colour {{ fill: #ffffff; font-weight: 600 }}
.paper {{ fill: var(--paper) }}
.card {{ fill: var(--card); stroke: var(--edge) }}
.chip {{ fill: var(--chip); stroke: var(--edge) }}
.line {{ fill: none; stroke: var(--line); stroke-width: 1.4 }}
.thin {{ stroke-width: 0.7 }}
.arrow {{ fill: var(--line) }}
"""
CHARACTER_WIDTH = 6.3
"""Of text of 12 pixels, on average; a picture cannot measure the reader's font."""


def number(value: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, content: str, *classes: str) -> str:
    """A line of text whose baseline begins at `x`, `y`."""
    return f'<text x="{number(x)}" y="{number(y)}" class={quoteattr(" ".join(classes))}>{escape(printable(content))}</text>'


def named_text(x: float, y: float, name: str, content: str) -> str:
    """A line of text that begins with a `name` in bold."""
    bold = f'<tspan class="name">{escape(printable(name))}</tspan>'
    return f'<text x="{number(x)}" y="{number(y)}">{bold} {escape(printable(content))}</text>'


def rect(x: float, y: float, width: float, height: float, *, radius: float = 0, style: str) -> str:
    """A rectangle; `style` is the name of a class, or a colour."""
    box = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" rx="{number(radius)}"'
    return f"<rect {box} {_style(style)}/>"


def path(commands: str, style: str, opacity: float = 1) -> str:
    """A path of SVG `commands`; `style` is the name of a class, or a colour."""
    faded = "" if opacity == 1 else f' opacity="{opacity:g}"'
    return f'<path d="{commands}" {_style(style)}{faded}/>'


def wrap(content: str, width: float) -> list[str]:
    """`content` in lines that are about `width` pixels wide."""
    return textwrap.wrap(printable(content), max(8, int(width / CHARACTER_WIDTH)), break_on_hyphens=False) or [""]


def picture(width: float, height: float, title: str, elements: Iterable[str]) -> str:
    """The file of a picture; `title` is what a screen reader says."""
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join(
        [head, f"<title>{escape(printable(title))}</title>", f"<style>{STYLE}</style>", *elements, "</svg>\n"]
    )


def _style(style: str) -> str:
    return f"fill={quoteattr(style)}" if style.startswith(("#", "hsl")) else f"class={quoteattr(style)}"
