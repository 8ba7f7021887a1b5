"""The document of a page: head, content security policy, style, plotly.js, data and script, each inlined once."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from trainers.files import atomic_write

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none';"
_FIGURES = '<main><section id="figures" aria-label="Figures"></section></main>'
_DRAW_FIGURES = "pageData.figures.forEach((figure) => drawFigure(figure));"


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: plain text, the page's title and heading.
        header: HTML below the heading.
        body: HTML below the header; by default, the figures alone.
        data: plain JSON for the script, as `pageData`. `page.js` reads `config`, plotly's configuration, and by default
            draws each of `figures` (`figure_record`).
        style: CSS added to `page.css`.
        script: JavaScript added to `page.js`; by default, it draws the figures.
    """

    title: str
    header: str = ""
    body: str = _FIGURES
    data: dict[str, Any] = field(default_factory=dict)
    style: str = ""
    script: str = _DRAW_FIGURES


def figure_record(title: str, figure: go.Figure, *, wide: bool = False) -> dict[str, Any]:
    """A plotly figure as `page.js` draws it.

    Args:
        title: plain text above the figure.
        figure: with plain lists as data.
        wide: whether it takes the whole width of the page, not half of it.
    """
    plain = figure.to_plotly_json()
    return {"title": title, "wide": wide, "data": plain["data"], "layout": plain["layout"]}


def render(page: Page) -> str:
    """The whole HTML document."""
    plotly, script = get_plotlyjs(), f"\n{_asset('page.js')}\n{page.script}\n"
    return Template(_asset("page.html")).substitute(
        policy=offline_policy(plotly, script),
        title=html.escape(page.title),
        header=page.header,
        body=page.body,
        style=_asset("page.css") + page.style,
        plotly=plotly,
        data=script_json(page.data),
        script=script,
    )


def offline_policy(*scripts: str) -> str:
    """The content security policy of a page in a file: it runs the texts `scripts` and no others, and requests nothing."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"{_POLICY} script-src {allowed}"


def write_page(page: Page, file: Path) -> Path:
    """Write `page` to `file`, whose folder is created; an existing file is replaced whole or not at all.

    Returns:
        `file`.
    """
    return write_document(render(page), file)


def write_document(text: str, file: Path) -> Path:
    """Write the HTML document `text` to `file`, whose folder is created; an existing file is replaced whole or not at all.

    Returns:
        `file`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8
    return file


def script_json(data: Any) -> str:
    """`data` as JSON for a script element: no text in it can end the element or start a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _asset(name: str) -> str:
    return resources.files("nas.html").joinpath(name).read_text(encoding="utf-8")
