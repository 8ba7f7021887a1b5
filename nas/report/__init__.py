"""The report of a study: the page of `nas.page` with its data inlined, one file that opens without a network.

`data_page.py` writes the page of a data set alone.
"""

from nas.report.page import DEFAULT_FILE, check_out, render, write

__all__ = ["DEFAULT_FILE", "check_out", "render", "write"]
