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
from nas.analysis.study_text import dataset_line, environment_lines, search_line
from nas.errors import StudyError, UsageError
from nas.report.content import content
from nas.report.data_section import data_section
from nas.report.headline import headline, missing_lines
from nas.report.warnings import warning_lines
from nas.study.destinations import check_file
from nas.study.images import find_images
from nas.study.layout import DATA, may_write

DEFAULT_FILE = "report.html"


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the study in `folder`; an existing file is replaced whole or not at all.

    Args:
        folder: of the study; its database `study.db` is enough.
        out: the file to write; by default `report.html` in `folder`.

    Returns:
        The file written.

    Raises:
        UsageError: `folder` holds no study, `out` is a folder, or none is given and `folder` cannot be written to.
    """
    check_out(folder, out)
    return pages.write_page(_page(Results.load(folder)), folder / DEFAULT_FILE if out is None else out)


def check_out(folder: Path, out: Path | None) -> None:
    """Raise `UsageError` if `write` cannot write to `out`; called before the front is tested, which takes a while."""
    if out is None and folder.is_dir() and not may_write(folder):
        raise UsageError(f"{folder}: is read-only; --out FILE writes the report elsewhere")
    if out is not None and out.is_dir():
        raise UsageError(f"{out}: is a folder; name the HTML file to write, such as {out / DEFAULT_FILE}")
    check_file(folder / DEFAULT_FILE if out is None else out)


def render(results: Results) -> str:
    """The whole HTML document of the report of `results`."""
    return pages.render(_page(results))


def _page(results: Results) -> pages.Page:
    lines = [
        dataset_line(results),
        search_line(results),
        *environment_lines(results),
        *warning_lines(results),
        *missing_lines(results),
    ]
    settings = json.dumps({"config": results.config, "dataset": results.dataset}, indent=2)
    return pages.Page(
        title=results.name,
        header="\n".join([*(f"<p>{html.escape(line)}</p>" for line in lines), pages.fact_list(headline(results))]),
        body=Template(_asset("body.html")).substitute(data=_data(results), config=html.escape(settings)),
        data=content(results),
        style=_asset("report.css"),
        script=_asset("report.js"),
    )


def _data(results: Results) -> str:
    """The data of the study, with a contact sheet if its decoded images are there."""
    try:
        file = find_images(results.folder / DATA, str(results.dataset.get("fingerprint")))
    except StudyError:
        file = None
    return data_section(results.dataset, file)


def _asset(name: str) -> str:
    return resources.files("nas.report").joinpath(name).read_text(encoding="utf-8")
