"""The contact sheet of a data set (`nas.page.contact_sheet`) as HTML."""

from __future__ import annotations

import html
from pathlib import Path

from nas.formatting import count
from nas.page.contact_sheet import ClassStrip, ContactSheet


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
