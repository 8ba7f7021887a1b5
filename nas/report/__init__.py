"""The report of a study: one self-contained HTML file that opens offline.

`headline.py` and `content.py` make the content, `page.py` the page; `report.js` and `report.css` add to the script and style
that all pages share (`nas.html`).
"""

from nas.report.page import DEFAULT_FILE, render, write

import html
import json
import os
import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from nas.analysis.results import Results
from nas.errors import UsageError
from nas.report.content import content
from nas.report.headline import Fact, dataset_line, headline, search_line

DEFAULT = "report.html"


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the study in `folder` to `out` (default: `report.html` in `folder`); all of it or nothing.

    Returns:
        The file written.

    Raises:
        UsageError: `folder` holds no study, or `out` is a folder.
    """
    out = folder / DEFAULT if out is None else out
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name the HTML file to write, such as {out / DEFAULT}")
    text = page(Results.load(folder))
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(out)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return out


def page(results: Results) -> str:
    """The whole page."""
    return Template(_asset("page.html")).substitute(
        title=html.escape(results.name),
        dataset=html.escape(dataset_line(results)),
        search=html.escape(search_line(results)),
        facts="\n".join(_fact(fact) for fact in headline(results)),
        config=html.escape(json.dumps({"config": results.config, "dataset": results.dataset}, indent=2)),
        style=_asset("page.css"),
        plotly=get_plotlyjs(),
        data=embedded(content(results)),
        script=_asset("page.js"),
    )


def embedded(data: Any) -> str:
    """JSON that may stand in a script element: no text of it can end the element or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028")):
        text = text.replace(character, escape)
    return text


def _fact(fact: Fact) -> str:
    value, label, note = (html.escape(part) for part in (fact.value, fact.label, fact.note))
    return f'<div class="fact"><dt>{label}</dt><dd>{value}<small>{note}</small></dd></div>'


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
