"""HTML fragments for notebooks: complete, escaped, without scripts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nas import Study
from nas.analysis.notebook import front_html, results_html
from nas.analysis.results import Results
from nas.formatting import ratio, si
from search_space import presets

HOSTILE = "</td><script>alert(1)</script>"


class TagReader(HTMLParser):
    """The tags of a fragment, which must be balanced, its text, and the cells of its table by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("br", "img"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"th", "td"} & set(self._open):
            self.rows[-1][-1] += data


def test_the_front_is_a_table_with_a_row_for_each_trial(digits_study: Path) -> None:
    results = Results.load(digits_study)
    heads, *rows = TagReader(front_html(results)).rows
    assert heads == ["trial", "validation accuracy", "MACs", "throughput", "parameters", "mixers"]
    assert [row[0] for row in rows] == [str(number) for number in results.front["trial"]]
    assert [row[2] for row in rows] == [si(macs) for macs in results.front["macs"]]
    best = results.trial("best")["trial"]
    assert f"<td><b>{best}</b></td>" in front_html(results)


def test_results_show_the_state_and_the_front(digits_study: Path) -> None:
    results = Results.load(digits_study)
    reader = TagReader(results_html(results))
    assert "24 complete, 1 interrupted, 3 stopped, 3 refused, 3 duplicate, 3 failed" in reader.text
    assert f"hypervolume {ratio(results.hypervolume)}" in reader.text
    assert f"best: trial {results.trial('best')['trial']}, validation accuracy" in reader.text
    assert front_html(results) in results_html(results)
    assert not reader.tags & {
        "script",
        "style",
        "svg",
        "link",
    }  # what Jupyter removes from notebooks that it does not trust


def test_a_study_without_trials(empty_study: Path) -> None:
    text = TagReader(results_html(Results.load(empty_study))).text
    assert "no trials yet" in text
    assert "front: 0 trials" in text


def test_texts_are_escaped(tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any) -> None:
    unknown = architecture(0)
    unknown["stages"][0]["mixer"] = {"name": HOSTILE}
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0], None, {"architecture": unknown})], name=HOSTILE)
    reader = TagReader(results_html(Results.load(tmp_path)))
    assert "script" not in reader.tags
    assert reader.text.count(HOSTILE) == 2


def test_a_notebook_shows_a_study_its_results_and_an_architecture(digits_study: Path) -> None:
    study = Study.open(digits_study)
    assert study._repr_html_() == study.results()._repr_html_() == results_html(study.results())
    caption, rows = "Architecture", TagReader(presets.get("clcnet_a")._repr_html_()).rows
    assert rows[0] == ["stage", "map", "token mixer", "channel mixer", "depth", "residual form"]
    assert rows[4] == ["4", "14 x 14 x 512", "conv", "pointwise", "6", "plain"]
    assert len(rows) == 6
    assert caption in presets.get("clcnet_a")._repr_html_()
