"""A page on a data set alone, as `nas data --html` writes it: its images in words, its classes, and a contact sheet."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import html as pages
from nas.analysis.dataset_summary import SPLIT_NAMES, class_rows, leak_warnings, summary_rows
from nas.formatting import count
from nas.page.contact_sheet import ClassStrip, ContactSheet

SPLIT_HEADS = tuple(SPLIT_NAMES.values())
MAX_OPEN_CLASSES = 12
"""A longer table of classes is folded."""


def write_data_page(dataset: Mapping[str, Any], file: Path | None, out: Path) -> Path:
    """Write the page of the data set to `out`; an existing file is replaced whole or not at all.

    Args:
        dataset: its description (`nas.study.dataset`).
        file: its prepared images; None: there are none to show.
        out: the HTML file.

    Returns:
        `out`.

    Raises:
        DataError: `file` is not a file of prepared images.
    """
    body = f"<main>\n{_data_section(dataset, file)}\n</main>"
    header = pages.item_list(f"Warning: {line}." for line in leak_warnings(dataset))
    return pages.write_page(pages.Page(title=str(dataset["name"]), header=header, body=body, script=""), out)


def _data_section(dataset: Mapping[str, Any], file: Path | None) -> str:
    """The HTML of what is known of the data set, as in `write_data_page`."""
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


def contact_sheet(file: Path) -> str:
    """The HTML of the contact sheet of the prepared images in `file`.

    Raises:
        DataError: `file` does not exist, or is not a file of prepared images.
    """
    sheet = ContactSheet.of(file)
    rows = "\n".join(map(_figure, sheet.strips))
    return f'<p class="about">{sheet.about}</p>\n<div class="contact-sheet">\n{rows}\n</div>'


def _figure(strip: ClassStrip) -> str:
    name = html.escape(strip.name)
    images = count(strip.shown, "training image")
    picture = f'<img alt="{images} of class {name}" src="{strip.picture}">' if strip.shown else ""
    return f"<figure><figcaption>{name} <span>{strip.count:,}</span></figcaption>{picture}</figure>"
