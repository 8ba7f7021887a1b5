"""The shell of all pages: whole, offline, escaped, written atomically."""

from __future__ import annotations

import json
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from nas.html import Fact, Page, fact_list, figure_record, item_list, render, script_json, table, write_page

HOSTILE = "</script><img src=http://evil.test/x onerror=alert(1)>&amp;"


@pytest.mark.parametrize("value", [HOSTILE, "<!--", "\u2028\u2029", "é 日本", 'quote " and \\'])
def test_script_json_reads_back_and_holds_no_markup(value: str) -> None:
    text = script_json({"key": value})
    assert json.loads(text) == {"key": value}
    assert not set("<>&\u2028\u2029") & set(text)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        script_json({"key": float("nan")})


def test_a_page_holds_each_part_once() -> None:
    page = Page(
        "A <b>", header="<p>header</p>", body="<main>body</main>", data={"k": "$x"}, style="p.x{}", script="f(1234)"
    )
    text = render(page)
    for part in (get_plotlyjs(), "<p>header</p>", "<main>body</main>", '{"k":"$x"}', "p.x{}", "f(1234)"):
        assert text.count(part) == 1
    assert text.count("A &lt;b&gt;") == 2  # the title and the heading
    assert "A <b>" not in text
    assert "$title" not in text


def test_a_page_requests_nothing() -> None:
    text = render(Page("title")).replace(get_plotlyjs(), "")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"https?:|url\(|@import|<link|<img|\ssrc=|\shref=", text)


def test_elements_escape_their_texts() -> None:
    for element in (
        fact_list([Fact(HOSTILE, HOSTILE, HOSTILE)]),
        item_list([HOSTILE]),
        table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]]),
    ):
        assert "<img" not in element
        assert "&lt;/script&gt;" in element
    assert item_list([]) == ""
    assert '<td>name</td><td class="number">1</td>' in table(["a", "b"], [["name", "1"]])


def test_a_figure_is_plain_json() -> None:
    record = figure_record("title", go.Figure(go.Scatter(x=[1], y=[2])), wide=True)
    assert list(record) == ["title", "wide", "data", "layout"]
    assert json.loads(json.dumps(record))["data"][0]["y"] == [2]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_page(Page("old"), tmp_path / "new folder" / "page.html")
    before = file.read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(Page("new"), file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["page.html"]
