"""The report as a page: rendered from results, or written for a study's folder.

Text from outside (class names, reasons of failures, the study's name) is escaped here or set as text by the script.
"""

from __future__ import annotations

import html
import json
from importlib import resources
from pathlib import Path
from string import Template

from nas import html as pages
from nas.analysis.results import Results
from nas.errors import UsageError
from nas.report.content import content
from nas.report.headline import dataset_line, headline, missing_lines, search_line
from nas.study.destinations import check_file

DEFAULT_FILE = "report.html"


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the study in `folder`; an existing file is replaced whole or not at all.

    Args:
        folder: of the study; its database `study.db` is enough.
        out: the file to write; by default `report.html` in `folder`.

    Returns:
        The file written.

    Raises:
        UsageError: `folder` holds no study, or `out` is a folder.
    """
    check_out(folder, out)
    return pages.write_page(_page(Results.load(folder)), folder / DEFAULT_FILE if out is None else out)


def check_out(folder: Path, out: Path | None) -> None:
    """Raise `UsageError` if `write` cannot write to `out`; called before the front is tested, which takes a while."""
    if out is not None and out.is_dir():
        raise UsageError(f"{out}: is a folder; name the HTML file to write, such as {out / DEFAULT_FILE}")
    check_file(folder / DEFAULT_FILE if out is None else out)


def render(results: Results) -> str:
    """The whole HTML document of the report of `results`."""
    return pages.render(_page(results))


def _page(results: Results) -> pages.Page:
    lines = [dataset_line(results), search_line(results), *missing_lines(results)]
    settings = json.dumps({"config": results.config, "dataset": results.dataset}, indent=2)
    return pages.Page(
        title=results.name,
        header="\n".join([*(f"<p>{html.escape(line)}</p>" for line in lines), pages.fact_list(headline(results))]),
        body=Template(_asset("body.html")).substitute(config=html.escape(settings)),
        data=content(results),
        style=_asset("report.css"),
        script=_asset("report.js"),
    )


def _asset(name: str) -> str:
    return resources.files("nas.report").joinpath(name).read_text(encoding="utf-8")
