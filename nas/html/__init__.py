"""Self-contained HTML pages: the shell that the report, the fidelity page and the benchmark figure share.

`shell.py` has the document, `elements.py` its building blocks, `page.css` the style and `page.js` the script that draws the
figures in the colours of the browser's theme. A page holds plotly.js and its data, opens from a file without a network, and
its content security policy forbids every request.
"""

from nas.html.elements import Fact, fact_list, item_list, table
from nas.html.shell import Page, figure_record, offline_policy, render, script_json, write_document, write_page

__all__ = [
    "Fact",
    "Page",
    "fact_list",
    "figure_record",
    "item_list",
    "offline_policy",
    "render",
    "script_json",
    "table",
    "write_document",
    "write_page",
]
