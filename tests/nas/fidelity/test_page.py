"""The page of a fidelity run: as a file, and in a real browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.fidelity import page
from nas.fidelity.values import Findings
from nas.fidelity.verdict import verdict

HOSTILE = "</script><script>alert(1)</script>"
TITLES = [
    "correlation over cost",
    "accuracy: large budget against proxy",
    "rank: large budget against proxy",
]


@pytest.fixture(scope="module")
def page_file(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of findings whose names and notes hold markup."""
    point = replace(findings.points[0], mixers=(HOSTILE,))
    hostile = replace(findings, notes=(HOSTILE,), points=(point, *findings.points[1:]))
    return page.write(hostile, tmp_path_factory.mktemp("fidelity") / "new" / "fidelity.html")


def test_the_page_is_complete_escaped_and_requests_nothing(page_file: Path, findings: Findings) -> None:
    text = page_file.read_text(encoding="utf-8")
    before, _, _ = text.partition("<script>")
    assert "<h1>Fidelity of a &lt;b&gt;</h1>" in before
    assert "alert(1)" in before
    assert "<script>alert(1)" not in text
    assert "default-src 'none'" in before
    assert not re.search(r"<script [^>]*src=|<link|<img", before)
    for sentence in verdict(findings):
        assert html.escape(sentence) in before
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert [figure["title"] for figure in json.loads(data)["figures"]] == TITLES


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_browser_draws_three_figures_and_all_tables(
    page_file: Path, findings: Findings, visit: Callable[..., Any], color_scheme: str
) -> None:
    opened = visit(page_file, color_scheme=color_scheme, figures=3)
    headings = opened.page.locator("#figures h3").all_text_contents()
    assert [heading[0].lower() + heading[1:] for heading in headings] == TITLES
    tables = opened.page.locator("table")
    rows = [tables.nth(index).locator("tbody tr").count() for index in range(3)]
    assert rows == [len(findings.proxies), 2, len(findings.points)]
    assert tables.nth(2).locator("td").first.text_content() == HOSTILE
    assert opened.page.locator("section").last.locator("li").all_text_contents() == [HOSTILE]
    font = "document.querySelector('.js-plotly-plot').layout.font.color"
    soft = "getComputedStyle(document.documentElement).getPropertyValue('--soft').trim()"
    opened.wait_for(f"{font} === {soft}")
    opened.check_quiet()
