"""The report of a study, rendered or written to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plotly.offline import get_plotlyjs
from threadpoolctl import threadpool_limits

from nas import html as pages
from nas.analysis.columns import StudyColumns
from nas.analysis.drivers import driver_statuses
from nas.analysis.results import Results
from nas.errors import UsageError
from nas.page.analysis import analysis
from nas.page.assets import inline_page
from nas.page.data import study_contact_sheet
from nas.page.detail import StudyContext
from nas.page.detail_chunks import detail_chunks
from nas.page.document import PageState, document
from nas.page.drivers import plain_drivers
from nas.page.packing import packed
from nas.page.retrained import plain_retrained
from nas.study.content import StudyContent, StudySnapshot
from nas.study.destinations import check_file
from nas.study.layout import may_write

DEFAULT_FILE = "report.html"
KEY = "study"
"""Of the only study of a report."""


def write(folder: Path, out: Path | None = None, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the report of the study in `folder`; an existing file is replaced whole or not at all.

    Args:
        folder: of the study; its database `study.db` is enough.
        out: the file to write; by default `report.html` in `folder`.
        progress: called with the number of trials that are done, and of all.

    Returns:
        The file written.

    Raises:
        UsageError: `folder` holds no study, `out` is a folder, or none is given and `folder` cannot be written to.
    """
    check_out(folder, out)
    return pages.write_document(
        render(StudySnapshot.of(folder), progress), folder / DEFAULT_FILE if out is None else out
    )


def check_out(folder: Path, out: Path | None) -> None:
    """Raise `UsageError` if `write` cannot write to `out`; called before the front is tested, which takes a while."""
    if out is None and folder.is_dir() and not may_write(folder):
        raise UsageError(f"{folder}: is read-only; --out FILE writes the report elsewhere")
    if out is not None and out.is_dir():
        raise UsageError(f"{out}: is a folder; name the HTML file to write, such as {out / DEFAULT_FILE}")
    check_file(folder / DEFAULT_FILE if out is None else out)


def render(study: StudyContent, progress: Callable[[int, int], None] | None = None) -> str:
    """The whole HTML document of the report of `study`; `progress` as in `write`."""
    info = study.info
    columns = StudyColumns.of(info.objectives, study.trials)
    columns.set_test_accuracy(info.test_accuracy)
    with threadpool_limits(1):  # products of small matrices: more threads only wait for each other
        return _render(study, columns, progress)


def _render(study: StudyContent, columns: StudyColumns, progress: Callable[[int, int], None] | None) -> str:
    info = study.info
    results = Results.of(study)
    findings = analysis(results, columns)
    drivers = plain_drivers(driver_statuses(results), results.read_s)
    retrained = plain_retrained(info.folder, str(info.dataset.get("fingerprint")), columns.proxy_accuracies())
    whole = document(info, columns, PageState(KEY, drivers=drivers, retrained=retrained)) | {"analysis": findings}
    context = StudyContext.of(info.folder, info.attributes)
    details = detail_chunks(study.trials, context, columns.front.trials, progress)
    data = {
        "documents": {KEY: {"name": study.name, "packed": packed(whole)}},
        "details": {KEY: details.to_dict()},
        "contactSheets": {KEY: study_contact_sheet(info)},
    }
    return inline_page(study.name, get_plotlyjs(), pages.script_json(data))
