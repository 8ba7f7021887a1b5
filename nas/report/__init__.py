"""The report of a study: one self-contained HTML file that opens offline.

`headline.py` and `content.py` make the content, `page.py` the page; `report.js` and `report.css` add to the script and style
that all pages share (`nas.html`).
"""

from nas.report.page import DEFAULT_FILE, check_out, render, write

__all__ = ["DEFAULT_FILE", "check_out", "render", "write"]
