"""A page on a data set alone, as `nas data --html` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import html as pages
from nas.analysis.dataset_summary import leak_warnings
from nas.report.data_section import data_section


def write_data_page(dataset: Mapping[str, Any], file: Path | None, out: Path) -> Path:
    """Write the page of the data set to `out`; an existing file is replaced whole or not at all.

    Args:
        dataset: its description (`nas.study.dataset`).
        file: its prepared images; None: there are none to show.
        out: the HTML file.

    Returns:
        `out`.
    """
    body = f"<main>\n{data_section(dataset, file)}\n</main>"
    header = pages.item_list(f"Warning: {line}." for line in leak_warnings(dataset))
    return pages.write_page(pages.Page(title=str(dataset["name"]), header=header, body=body, script=""), out)
