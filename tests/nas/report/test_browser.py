"""The report in a real browser: figures, selection of a trial, sorting, filter, dark mode, no request and no error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.report import write

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def results(digits_study: Path) -> Results:
    return Results.load(digits_study)


@pytest.fixture(scope="module")
def visited(digits_study: Path, visit: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of `digits_study`, opened once; tests leave the filter empty."""
    opened = visit(write(digits_study, tmp_path_factory.mktemp("report") / "report.html"), figures=6)
    opened.page.wait_for_selector("#panel h2")
    return opened


def point_position(page: Any, figure: int, trial: int) -> tuple[float, float]:
    """The position of a trial's point in the window, after scrolling the figure into view."""
    x, y = page.evaluate(
        """([figure, trial]) => {
          const div = document.querySelectorAll('.js-plotly-plot')[figure];
          div.scrollIntoView({block: 'center', behavior: 'instant'});
          const {xaxis, yaxis} = div._fullLayout, box = div.getBoundingClientRect();
          for (const trace of div.data) {
            const at = (trace.customdata || []).indexOf(trial);
            if (trace.mode === 'markers' && at >= 0)
              return [box.left + xaxis._offset + xaxis.d2p(trace.x[at]), box.top + yaxis._offset + yaxis.d2p(trace.y[at])];
          }
        }""",
        [figure, trial],
    )
    return x, y


def click_point(page: Any, x: float, y: float) -> None:
    """A click of the mouse; plotly looks for the nearest point at most every 50 ms."""
    page.mouse.move(x, y)
    page.wait_for_timeout(100)
    page.mouse.click(x, y, delay=100)


def select_trial(page: Any, trial: int) -> None:
    page.locator(f'#trials tr[data-trial="{trial}"]').click()


def shown_trials(page: Any) -> list[int]:
    """The numbers in the table of all trials, in its order."""
    return [int(number) for number in page.locator("#trials tbody tr td:first-child").all_text_contents()]


def test_the_best_trial_is_selected_at_first(visited: Any, results: Results) -> None:
    best = results.trial("best")
    assert visited.page.locator("#panel h2").text_content() == f"Trial {best['trial']} (on the front, best)"
    assert visited.page.locator("#figures .js-plotly-plot").count() == 6


def test_titles_of_figures_are_capitalised(visited: Any) -> None:
    assert visited.page.locator("#figures h3").all_text_contents()[:2] == [
        "Validation accuracy against MACs",
        "Validation accuracy against throughput",
    ]


def test_a_click_on_a_point_fills_the_panel_and_marks_its_row(visited: Any, results: Results) -> None:
    page = visited.page
    number = int(results.front["trial"].iloc[0])
    for figure in (0, 1, 2):
        select_trial(page, int(results.trial("best")["trial"]))
        click_point(page, *point_position(page, figure, number))
        visited.wait_for(f"document.querySelector('#panel h2').textContent.startsWith('Trial {number} ')")
        rows = page.locator("#front tr.selected")
        assert rows.evaluate_all("(rows) => rows.map((row) => row.dataset.trial)") == [str(number)]
    panel = page.locator("#panel").text_content()
    for stage in results.trial(number)["architecture"]["stages"]:
        assert stage["mixer"]["name"] in panel
    assert json.loads(page.locator("#panel details pre").text_content()) == results.trial(number)["architecture"]
    command = page.locator("#panel code").text_content()
    assert command == f"nas export {results.folder} {number} --out model-{number}"


def test_the_panel_draws_the_network_from_image_to_head(visited: Any, results: Results) -> None:
    select_trial(visited.page, 0)
    titles = visited.page.locator("#panel .network b").all_text_contents()
    assert titles == ["image", "stem", "stage 1", "conv", "mlp", "stage 2", "conv", "mlp", "head"]
    text = visited.page.locator("#panel .network").text_content()
    assert "downsampling: conv k 3, stride 2, 16 → 32, batch norm before" in text
    assert "conv k 2, stride 2, 1 → 16" in text


def test_a_row_of_a_failed_trial_says_why(visited: Any) -> None:
    select_trial(visited.page, 5)
    assert "failed: loss is <NaN> at epoch 2 & ended" in visited.page.locator("#panel").text_content()
    assert visited.page.locator("#panel .command").count() == 0


def test_a_heading_sorts_and_missing_values_come_last(visited: Any, results: Results) -> None:
    button = visited.page.locator("#trials th button", has_text="validation accuracy")
    ranked = results.trials.dropna(subset=["accuracy"]).sort_values(["accuracy", "trial"])["trial"].tolist()
    missing = sorted(set(results.trials["trial"]) - set(ranked))
    button.click()
    assert shown_trials(visited.page) == ranked + missing
    button.click()
    assert shown_trials(visited.page) == ranked[::-1] + missing
    assert button.locator("..").get_attribute("aria-sort") == "descending"


def test_the_filter_keeps_the_trials_that_contain_all_its_words(visited: Any) -> None:
    visited.page.fill("#filter", "refused limit")
    assert visited.page.locator("#trials td.state").all_text_contents() == ["refused: limit macs: 5000 > 4000"] * 3
    assert visited.page.locator("#shown").text_content() == "3 of 37 trials"
    visited.page.fill("#filter", "")
    assert len(shown_trials(visited.page)) == 37


def test_figures_follow_the_theme(visited: Any) -> None:
    read = """() => {
      const root = getComputedStyle(document.documentElement), div = document.querySelector('.js-plotly-plot');
      return {page: getComputedStyle(document.body).backgroundColor, soft: root.getPropertyValue('--soft').trim(),
              font: div.layout.font.color, ring: div.data.at(-1).marker.color, ink: root.getPropertyValue('--ink').trim()};
    }"""
    seen = {}
    for scheme in ("dark", "light"):
        visited.page.emulate_media(color_scheme=scheme)
        visited.wait_for(f"({read})().font === ({read})().soft")
        seen[scheme] = visited.page.evaluate(read)
        assert seen[scheme]["ring"] == seen[scheme]["ink"]
    assert seen["dark"]["page"] == "rgb(20, 24, 29)"
    assert seen["light"]["page"] == "rgb(255, 255, 255)"
    assert seen["dark"]["font"] != seen["light"]["font"]


def test_channel_graphs_follow_the_selected_trial_and_the_pointer(
    graph_study: Path, visit: Callable[..., Any], tmp_path: Path
) -> None:
    opened = visit(write(graph_study, tmp_path / "report.html"))
    page = opened.page
    headings = "[...document.querySelectorAll('#channels h3')].map((heading) => heading.firstChild.textContent)"
    graph = "document.querySelector('#channels .js-plotly-plot')"
    page.wait_for_selector("#channels h3")
    assert page.evaluate(headings) == ["Stage 1; stage 2", "Stage 3"]
    select_trial(page, 0)
    assert page.evaluate(headings) == ["Stage 1", "Stage 2"]
    assert "yes (g1*g2 = 16*4 = 64 <= 64)" in page.locator("#channels").text_content()
    opened.wait_for(f"{graph}._fullLayout && {graph}.querySelectorAll('image').length === 3")
    x, y = page.evaluate(
        f"""() => {{
          const div = {graph};
          div.scrollIntoView({{block: 'center', behavior: 'instant'}});
          const {{xaxis, yaxis}} = div._fullLayout, box = div.getBoundingClientRect();
          return [box.left + xaxis._offset + xaxis.d2p(3), box.top + yaxis._offset + yaxis.d2p(5.5 / 64)];
        }}"""
    )
    highlighted = f"{graph}.data[{graph}.layout.meta.first + 2].y[0] * 64 - 0.5"
    assert page.evaluate(highlighted) == pytest.approx(40, abs=0.01)  # the middle output of the third group
    page.mouse.move(x, y)
    opened.wait_for(f"Math.round({highlighted}) === 5")
    select_trial(page, 2)
    assert not page.locator("#channels-section").is_visible()
    opened.check_quiet()


def test_names_with_markup_stay_text(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any, visit: Callable[..., Any]
) -> None:
    unknown = architecture(0)
    unknown["stages"][0]["mixer"] = {"name": HOSTILE, "option": HOSTILE}
    dataset = {"name": HOSTILE, "class_names": [HOSTILE], "num_classes": 1, "image_size": [8, 8], "in_chans": 1}
    trials = [stored_trial([0.5, 10.0, 1.0], None, {"architecture": unknown, "device": HOSTILE})]
    study_writer(tmp_path, trials, name=HOSTILE, dataset=dataset)
    opened = visit(write(tmp_path, tmp_path / "report.html"))
    assert opened.page.locator("h1").text_content() == HOSTILE
    network = opened.page.locator("#panel .network").text_content()
    assert f"option {HOSTILE}" in network
    assert "This version does not know this architecture" in network
    assert opened.page.locator("img").count() == 0
    opened.check_quiet()


def test_no_request_and_no_error(visited: Any) -> None:
    visited.check_quiet()
