"""The figure of a benchmark, and the default script of all pages, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from nas.bench.figure import BenchmarkInfo, SamplerLineInfo, write_page as write_benchmark
from nas.html import Page, figure_record, write_page

HOSTILE = "<img src=x onerror=alert(1)>"
FONT = "document.querySelector('.js-plotly-plot').layout.font.color"
SOFT = "getComputedStyle(document.documentElement).getPropertyValue('--soft').trim()"


@pytest.fixture(scope="module")
def race_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [
        SamplerLineInfo(f"{sampler}, 1 at a time", sampler, 1, [0.1, 0.2, 0.4], [0.2, 0.4, 0.6], [0.3, 0.5, 0.9])
        for sampler in ("pareto", HOSTILE)
    ]
    file = tmp_path_factory.mktemp("bench") / "race.html"
    write_benchmark(BenchmarkInfo(f"{HOSTILE}.json", lines), file)
    return file


def test_the_benchmark_figure_is_drawn_and_names_stay_text(race_file: Path, visit: Callable[..., Any]) -> None:
    opened = visit(race_file)
    assert opened.page.locator("h1").text_content() == f"Samplers on {HOSTILE}.json"
    assert opened.page.locator("#figures h3").text_content().startswith("Hypervolume over trainings")
    legend = opened.page.locator(".legendtext").all_text_contents()
    assert legend == ["pareto, 1 at a time", f"{HOSTILE}, 1 at a time"]
    assert opened.page.locator(".scatterlayer .trace").count() == 4  # a band and a line for each sampler
    assert opened.page.locator("img").count() == 0
    opened.check_quiet()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_figure_has_the_colours_of_the_theme(race_file: Path, visit: Callable[..., Any], color_scheme: str) -> None:
    opened = visit(race_file, color_scheme=color_scheme)
    opened.wait_for(f"{FONT} === {SOFT}")
    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[color_scheme]
    other = {"light": "dark", "dark": "light"}[color_scheme]
    opened.page.emulate_media(color_scheme=other)
    opened.wait_for(f"{FONT} === {SOFT}")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[other]


def test_a_webgl_figure_is_drawn(tmp_path: Path, visit: Callable[..., Any]) -> None:
    points = go.Figure(go.Scattergl(x=list(range(50)), y=list(range(50)), mode="markers"))
    page = Page("Points", data={"figures": [figure_record("points", points)], "config": {}})
    opened = visit(write_page(page, tmp_path / "page.html"))
    assert opened.page.evaluate("document.querySelector('.js-plotly-plot').data[0].x.length") == 50
    opened.check_quiet()


def test_a_request_is_refused_by_the_page(tmp_path: Path, visit: Callable[..., Any]) -> None:
    script = (
        "fetch('http://127.0.0.1:9/').catch(() => { document.title = 'refused'; }); drawFigure(pageData.figures[0]);"
    )
    figures = [figure_record("points", go.Figure(go.Scatter(x=[1], y=[1])))]
    page = Page("Request", data={"figures": figures, "config": {}}, script=script)
    opened = visit(write_page(page, tmp_path / "page.html"))
    opened.wait_for("document.title === 'refused'")
    assert any("Content Security Policy" in error for error in opened.errors)
