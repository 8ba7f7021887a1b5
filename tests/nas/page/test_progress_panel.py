"""The panel Progress in the browser: series, replay of the front, workers and rungs, against the study's results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.columns import StudyColumns
from nas.analysis.front import front_mask, hypervolume_over
from nas.analysis.results import Results
from nas.analysis.time_breakdown import break_down_time
from nas.page.arrays import encode
from nas.page.document import PageState, document, encode_curves, encode_rows, encode_segments
from nas.page.fields import fields_of
from nas.study.content import StudySnapshot


@pytest.fixture(scope="module")
def opened(opened_study: Callable[..., Any], halving_study: Path) -> Any:
    return opened_study(halving_study, "progress")


@pytest.fixture(scope="module")
def results(halving_study: Path) -> Results:
    return Results.load(halving_study)


@pytest.fixture(scope="module")
def order(results: Results) -> list[int]:
    """The complete trials in the order in which they finished."""
    return [int(number) for number in results.complete.sort_values(["finished", "trial"])["trial"]]


def traces(opened: Any, figure: str) -> dict[str, dict[str, Any]]:
    """The traces of a figure by name."""
    script = (
        "figure => document.querySelector(figure).data.map("
        "({name, x, y, customdata, base}) => ({name: name || '', x: Array.from(x), y: Array.from(y), trials: customdata, base}))"
    )
    return {trace["name"]: trace for trace in opened.page.evaluate(script, figure)}


SERIES = "#panel-progress .series"
REPLAY = "#panel-progress .replay-words + .figure"
WORKERS = "#panel-progress .stacked"


def test_series_are_those_of_the_results(opened: Any, results: Results, order: list[int]) -> None:
    series = traces(opened, SERIES)
    expected = hypervolume_over(results.values[order], results.objectives)
    drawn = series["hypervolume"]
    assert drawn["x"][-1] == len(order)
    assert [expected[int(rank) - 1] for rank in drawn["x"]] == pytest.approx(drawn["y"])

    best = series["best validation accuracy"]
    running = np.maximum.accumulate(results.values[order, 0])
    assert [running[int(rank) - 1] for rank in best["x"]] == pytest.approx(best["y"])
    assert series["front size"]["y"][-1] == len(results.front)


def test_rate_is_that_of_the_last_trials(opened: Any, results: Results) -> None:
    ended = np.sort(results.trials["finished"].to_numpy())
    hours = (ended[-1] - ended[-11]) / np.timedelta64(1, "h")
    assert traces(opened, SERIES)["trials per hour"]["y"][-1] == pytest.approx(10 / hours)
    facts = opened.page.inner_text("#panel-progress .facts")
    assert "20 trials to go, about" in facts
    assert "not running" in facts


def test_time_is_another_axis_in_the_address(opened: Any, results: Results, order: list[int], go_to: Any) -> None:
    opened.page.select_option("#panel-progress select >> nth=0", "time")
    opened.wait_for("location.hash.includes('progress.x=time')")
    opened.wait_for(f"document.querySelector('{SERIES}').layout.xaxis.type === 'date'")
    last = traces(opened, SERIES)["hypervolume"]["x"][-1]
    assert last == pytest.approx(
        results.trials.loc[order[-1], "finished"].timestamp() * 1000, abs=1
    )  # tests run in UTC
    go_to(opened, "progress")


@pytest.mark.parametrize("count", [1, 2, 7, 13, 18])
def test_replay_shows_the_front_of_that_moment(
    opened: Any, results: Results, order: list[int], go_to: Any, count: int
) -> None:
    go_to(opened, "progress", f"replay={count}")
    values = results.values[order[:count]]
    mask = front_mask(values, [objective.direction for objective in results.objectives])
    drawn = traces(opened, REPLAY)
    assert sorted(drawn["on the front"]["trials"]) == sorted(np.array(order[:count])[mask].tolist())
    shown = [number for name in ("on the front", "was on the front", "dominated") for number in drawn[name]["trials"]]
    assert sorted(shown) == sorted(order[:count])
    words = opened.page.inner_text("#panel-progress .replay-words")
    reached = hypervolume_over(results.values[order], results.objectives)[count - 1]
    assert f"After {count} of {len(order)} complete trials" in words
    assert f"{mask.sum()} on the front, hypervolume {reached:.4f}" in words


def test_replay_by_keys_buttons_and_by_itself(opened: Any, order: list[int], go_to: Any) -> None:
    go_to(opened, "progress", "replay=5")
    opened.page.click("#panel-progress [aria-label='One trial on']")
    opened.wait_for("location.hash.includes('replay=6')")
    opened.page.focus("#panel-progress input[type=range]")
    opened.page.keyboard.press("ArrowLeft")
    opened.wait_for("location.hash.includes('replay=5')")
    opened.page.click("#panel-progress >> text=Play")
    opened.wait_for(f"document.querySelector('.replay-words').textContent.startsWith('After {len(order)} of')")
    opened.page.wait_for_selector("#panel-progress >> text=Play")  # it stops by itself
    assert "replay" not in opened.page.evaluate("location.hash")


def test_workers_have_a_lane_each(opened: Any, results: Results, go_to: Any) -> None:
    go_to(opened, "progress")
    lanes = opened.page.evaluate(
        "document.querySelectorAll('#panel-progress .js-plotly-plot')[2].layout.yaxis.ticktext"
    )
    assert lanes == ["node1 cuda:0", "node1 cuda:1", "node2 cuda:0"]
    figure = "#panel-progress .stacked ~ .legend"
    assert "training" in opened.page.inner_text(figure)
    drawn = opened.page.evaluate(
        "document.querySelectorAll('#panel-progress .js-plotly-plot')[2].data.map("
        "({name, x, customdata}) => [name, x.reduce((a, b) => a + b, 0) / 1000, customdata])"
    )
    seconds = {name: total for name, total, _ in drawn}
    trained = results.trials.dropna(subset=["train_s", "wall_s"])
    assert seconds["training"] == pytest.approx(trained["train_s"].sum(), rel=1e-4)
    assert seconds["measuring"] == pytest.approx(len(trained), rel=1e-4)
    assert {name: trials for name, _, trials in drawn}["lost with a worker"] == [7]


def test_shares_of_time_are_those_of_the_breakdown(opened: Any, results: Results) -> None:
    times = break_down_time(results)
    label = opened.page.get_attribute(WORKERS, "aria-label")
    lost_s = 5.0  # of trial 7, until its second segment
    shares = dict(part.rsplit(" ", 2)[:2] for part in label.removesuffix(" %").split(", "))
    expected = 100 * times.train_s / (times.worker_s + lost_s)
    assert float(shares["training"]) == pytest.approx(expected, abs=0.6)


def test_rungs_count_trials_and_seconds(opened: Any, results: Results) -> None:
    rows = opened.page.locator("#panel-progress table tbody tr").all_inner_texts()
    failed = results.trials["state"] == "failed"
    stopped = (results.trials["state"] == "stopped") & ~failed
    trained = int((~failed).sum())
    by_length = results.trials[~failed]["curve"].map(len).value_counts()
    cells = [row.split("\t") for row in rows]
    assert [cell[0] for cell in cells] == ["epoch 1", "epoch 3", "epoch 9"]
    entered = [len(results.trials), int(by_length[3] + by_length[9]), int(by_length[9])]
    assert [int(cell[1]) for cell in cells][1:] == entered[1:]
    assert int(cells[0][1]) == trained
    assert int(cells[0][3]) + int(cells[1][3]) == int(stopped.sum())
    assert int(cells[2][5]) == 6 * int(by_length[9])


def test_a_click_on_a_bar_selects_its_trial(opened: Any, go_to: Any) -> None:
    go_to(opened, "progress")
    figure = opened.page.locator("#panel-progress .js-plotly-plot").nth(2)
    figure.scroll_into_view_if_needed()
    box = figure.locator(".trace.bars .point path").first.bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.wait_for("location.hash.includes('trial=')")
    opened.page.evaluate("state.set({trial: null})")


def test_no_console_error(opened: Any) -> None:
    opened.check_quiet()


def test_studies_without_segments_are_reconstructed(opened_study: Callable[..., Any], digits_study: Path) -> None:
    opened = opened_study(digits_study, "progress")
    assert "Reconstructed from when trials ended" in opened.page.inner_text("#panel-progress")
    assert not opened.page.is_visible("#panel-progress >> text=Budget by rung")
    opened.check_quiet()


def test_changes_replace_the_segments_of_their_trials(opened: Any, halving_study: Path) -> None:
    study = StudySnapshot.of(halving_study)
    columns = StudyColumns(study.info.objectives)
    columns.update(study.trials[:8])
    early = document(study.info, columns, PageState("key"))
    columns.update(study.trials[7:])
    rows = np.arange(7, columns.count)
    fields = fields_of(columns)
    change = {
        "count": columns.count,
        "fields": [field.to_dict() for field in fields],
        "rows": {
            "index": encode(rows, "i4"),
            "columns": encode_rows(columns, fields, rows),
            "curves": encode_curves(columns, rows),
            "segments": encode_segments(columns, rows),
        },
    }
    segments = opened.page.evaluate(
        "([early, change]) => { const study = new columns.Study(early); study.apply(change); return [...study.segments]; }",
        [early, change],
    )
    stored = {trial.number: trial.user_attrs["segments"] for trial in study.trials}
    assert sorted(number for number, _ in segments) == sorted(stored)
    for number, drawn in segments:
        assert [segment["worker"] for segment in drawn] == [segment["worker"] for segment in stored[number]]
        assert [segment["start"] for segment in drawn] == [segment["start"] for segment in stored[number]]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"trials": 60}, ["none", "the study has its number of trials"]),
        ({"trials": 80}, ["about {}", "20 trials to go at the current rate"]),
        ({"trials": None}, ["–", "no target is recorded"]),  # noqa: RUF001 - a missing value
    ],
)
def test_time_left(
    opened: Any, halving_study: Path, results: Results, target: dict[str, Any], words: list[str]
) -> None:
    study = StudySnapshot.of(halving_study)
    columns = StudyColumns(study.info.objectives)
    columns.update(study.trials)
    plain = document(study.info, columns, PageState("key", is_searching=True))
    plain["meta"]["target"] = target
    shown = opened.page.evaluate("plain => timeLeft.words(new columns.Study(plain))", plain)
    ended = np.sort(results.trials["finished"].to_numpy())
    seconds_per_trial = (ended[-1] - ended[-11]) / np.timedelta64(1, "s") / 10
    assert [shown["value"], shown["note"]] == [words[0].format(f"{20 * seconds_per_trial / 60:.0f} min"), words[1]]


def test_a_trial_counts_when_its_work_ended_and_not_when_it_was_told(opened: Any) -> None:
    """A trial that waits at a rung is told long after its last segment, with many others."""
    found = opened.page.evaluate(
        """() => {
          const {study} = app.view, [trial, segments] = [...study.segments].find(([, list]) => list.length === 1);
          const before = segments[0].end, finished = study.value('finished', trial);
          segments[0].end -= 1e6;
          const [first] = progressSeries.trainedTimes(study);
          segments[0].end = before;
          return [first, before - 1e6, finished];
        }"""
    )
    assert found[0] == found[1] != found[2]
