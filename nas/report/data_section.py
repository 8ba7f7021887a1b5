"""The data of a study on a page: what they were taken for, the classes, and a contact sheet."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import html as pages
from nas.analysis.dataset_summary import SPLIT_NAMES, class_rows, summary_rows
from nas.report.contact_sheet import contact_sheet

SPLIT_HEADS = tuple(SPLIT_NAMES.values())
MAX_OPEN_CLASSES = 12
"""A longer table of classes is folded."""


def data_section(dataset: Mapping[str, Any], file: Path | None) -> str:
    """The HTML of the section.

    Args:
        dataset: its description (`nas.study.dataset`); may be empty.
        file: its prepared images; None: there are none to show.

    Raises:
        DataError: `file` is not a file of prepared images.
    """
    if not dataset:
        return ""
    facts = "\n".join(
        f"<dt>{html.escape(label)}</dt><dd>{html.escape(text)}</dd>" for label, text in summary_rows(dataset)
    )
    parts = [f'<dl class="lines">\n{facts}\n</dl>', _class_table(dataset)]
    missing = '<p class="about">The decoded images are missing, so none are shown.</p>'
    parts.append(missing if file is None else contact_sheet(file))
    return "\n".join(filter(None, parts))


def _class_table(dataset: Mapping[str, Any]) -> str:
    rows = class_rows(dataset)
    if not rows:
        return ""
    table = pages.table(
        ("class", *SPLIT_HEADS, "share"),
        ((row.name, *(f"{number:,}" for number in row.counts), f"{100 * row.share:.1f} %") for row in rows),
    )
    folded = "" if len(rows) > MAX_OPEN_CLASSES else " open"
    return f"<details{folded}><summary>Images of each class</summary>\n{table}\n</details>"
