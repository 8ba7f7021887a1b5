"""The report: the page of a study with its data inlined, one file that opens without a network."""

from __future__ import annotations

from pathlib import Path

from plotly.offline import get_plotlyjs

from nas import html as pages
from nas.analysis.columns import StudyColumns
from nas.analysis.results import Results
from nas.page.analysis import analysis
from nas.page.assets import inline_page
from nas.page.data import study_contact_sheet
from nas.page.detail import StudyContext
from nas.page.detail_chunks import detail_chunks
from nas.page.document import PageState, document
from nas.page.packing import packed
from nas.study.content import StudyContent, StudySnapshot
from trainers.files import atomic_write

KEY = "study"
"""Of the only study of a report."""


def render(study: StudyContent) -> str:
    """The whole HTML document of the report of `study`."""
    info = study.info
    columns = StudyColumns(info.objectives)
    columns.update(study.trials)
    columns.set_test_accuracy(info.test_accuracy)
    front = [entry.trial for entry in columns.front.entries if entry.removed_by < 0]
    details = detail_chunks(study.trials, StudyContext.of(info.folder, info.attributes), front)
    whole = document(info, columns, PageState(KEY)) | {"analysis": analysis(Results.of(study), columns)}
    data = {
        "documents": {KEY: {"name": study.name, "packed": packed(whole)}},
        "details": {KEY: details.to_dict()},
        "contactSheets": {KEY: study_contact_sheet(info)},
    }
    return inline_page(study.name, get_plotlyjs(), pages.script_json(data))


def write_inline(folder: Path, file: Path) -> Path:
    """Write the report of the study in `folder` to `file`, whose folder is created; returns `file`."""
    text = render(StudySnapshot.of(folder))
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
    return file
