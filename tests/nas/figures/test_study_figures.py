"""Figures in one call each, the timeline of workers, and the figures of choices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

import nas.figures
from nas.analysis.importance import Importance
from nas.analysis.preferences import preferences as find_preferences
from nas.analysis.results import Results
from nas.errors import UnknownNameError, UsageError
from nas.figures import (
    Palette,
    curves,
    front,
    front_figure,
    front_info,
    hypervolume,
    importance,
    importance_figure,
    preferences,
    preferences_figure,
    shares,
    workers,
    workers_info,
)
from nas.objectives import get
from nas.study.segments import Segment


@pytest.fixture(scope="module")
def results(digits_study: Path) -> Results:
    return Results.load(digits_study)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(nas.figures, name) for name in nas.figures.__all__)
    assert len(set(nas.figures.__all__)) == len(nas.figures.__all__)


def test_the_front_of_any_two_objectives(results: Results) -> None:
    expected = front_figure(front_info(results, get("macs"), get("accuracy")), Palette.of(results))
    assert front(results) == front(results, x="macs") == expected
    assert front(results, y="accuracy") == expected
    turned = front(results, x="accuracy", y="images_per_s")
    assert turned.layout.xaxis.title.text == "validation accuracy, higher is better"
    assert turned.layout.yaxis.title.text.startswith("throughput")


def test_wrong_objectives_are_named(results: Results, tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"front: x: no such objective of the study .*did you mean macs"):
        front(results, x="mac")
    with pytest.raises(UsageError, match="x and y must be two objectives, found macs twice"):
        front(results, x="macs", y="macs")
    single = Results.load(study_writer(tmp_path, [stored_trial([0.5]), stored_trial([0.7])], objectives=("accuracy",)))
    with pytest.raises(UsageError, match="needs two objectives, found accuracy"):
        front(single)
    assert list(hypervolume(single).data[-1].y) == [0.5, 0.7]


@pytest.mark.parametrize("draw", [hypervolume, curves, shares, workers, front, importance, preferences])
def test_each_is_drawn_of_full_and_empty_studies(draw: Any, results: Results, empty_study: Path) -> None:
    assert isinstance(draw(results), go.Figure)
    assert draw(results).to_json()
    assert draw(Results.load(empty_study)).to_json()


def with_segments(results: Results, segments: dict[int, list[Segment]]) -> Results:
    plain = [[segment.to_dict() for segment in segments.get(number, [])] for number in results.trials["trial"]]
    return replace(results, summary=results.trials.assign(segments=plain))


def test_the_timeline_of_workers(results: Results) -> None:
    """Two workers on node a at a time, the second of which dies and is replaced; one GPU on node b."""
    done = {"measure_s": 2.0, "train_s": 7.0, "validate_s": 1.0, "outcome": "completed"}
    info = workers_info(
        with_segments(
            results,
            {
                0: [
                    Segment("a/cpu/1", 100.0, 110.0, **done),
                    Segment("a/cpu/1", 130.0, 140.0, until=9, outcome="completed"),
                ],
                1: [Segment("a/cpu/2", 101.0, outcome="lost"), Segment("a/cpu/3", 116.0, 126.0, **done)],
                2: [Segment("b/cuda:0/9", 100.0, 103.0, 3.0, outcome="refused")],
                3: [Segment("a/cpu/1", 110.2, 115.0, **done)],
                4: [Segment("b/cuda:0/9", 103.0, 105.0, 1.5, outcome="measured")],  # it was trained elsewhere
            },
        )
    )
    assert info.lanes == ["a cpu 1", "a cpu 2", "b cuda:0"]
    bars = [(bar.lane, bar.activity, bar.start_s, bar.end_s, bar.trial) for bar in info.bars]
    assert bars[:6] == [
        (0, "measuring", 100.0, 102.0, 0),
        (0, "training", 102.0, 110.0, 0),
        (0, "measuring", 110.2, 112.2, 3),  # a gap of 0.2 s is not drawn
        (0, "training", 112.2, 115.0, 3),
        (0, "idle", 115.0, 130.0, None),
        (0, "training", 130.0, 140.0, 0),
    ]
    assert (1, "lost", 101.0, 116.0, 1) in bars  # until the trial went on elsewhere
    assert bars[-2:] == [(2, "measuring", 100.0, 103.0, 2), (2, "measuring", 103.0, 105.0, 4)]
    figure = workers(with_segments(results, {0: [Segment("a/cpu/1", 100.0, 110.0, **done)]}))
    assert [trace.name for trace in figure.data] == ["measuring", "training"]
    assert list(figure.layout.yaxis.ticktext) == ["a cpu"]


def test_a_trial_that_runs_now(results: Results) -> None:
    searched = with_segments(results, {0: [Segment("a/cpu/2", 90.0, 120.0)], 36: [Segment("a/cpu/1", 100.0)]})
    assert [bar.activity for bar in workers_info(searched).bars if bar.trial == 36] == ["lost"]  # no search runs
    vars(searched)["is_searched"] = True  # as the cached property holds it
    running = [bar for bar in workers_info(searched).bars if bar.trial == 36]
    assert [(bar.activity, bar.end_s) for bar in running] == [("running", 120.0)]


def test_importance_is_drawn_with_its_uncertainty_and_notes() -> None:
    good = Importance("accuracy", 90, 0.8, {"stages.0.mixer": (0.9, 0.05), "<b>": (0.1, 0.2)})
    none = Importance("macs", 3, float("nan"), {}, "too few trials: 3 are complete, and 30 are needed")
    figure = importance_figure([good, none])
    (bar,) = figure.data
    assert (list(bar.y), list(bar.x)) == (["stages.0.mixer", "&lt;b&gt;"], [0.9, 0.1])
    assert list(bar.error_x.array) == [0.05, 0.2]
    assert list(bar.error_x.arrayminus) == [0.05, 0.1]  # a share is not below 0
    assert figure.layout.annotations[0].text == "macs: too few trials: 3 are complete, and 30 are needed"
    assert importance_figure([]).to_json()


def test_preferences_are_cells_that_say_their_value(results: Results) -> None:
    count = len(results.trials)
    codes = {"mixer": [number % 3 for number in range(count)], "fixed": [0] * count}
    found = find_preferences(results, codes, {"mixer": ["conv", "<i>", "pool"]})
    (heatmap,) = preferences_figure(found).data
    assert list(heatmap.y) == ["mixer"]  # a single value cannot be preferred
    assert [text.removesuffix(" *") for text in heatmap.text[0]] == ["conv", "&lt;i&gt;", "pool"]
    assert "odds ratio" in heatmap.hovertext[0][0]
    assert preferences_figure([]).to_json()


def test_parameters_and_their_values_are_those_of_the_trials(results: Results) -> None:
    complete = [trial for trial in results.records if trial.state.is_finished() and trial.values]
    (heatmap,) = preferences(results).data
    for name, cells in zip(heatmap.y, heatmap.text, strict=True):
        key = next(key for key in complete[0].params if key.partition("{")[0] == name)
        values = {str(trial.params[key]) for trial in complete if key in trial.params}
        shown = [cell.removesuffix(" *") for cell in cells if cell]
        assert set(shown) == values
        if all(value.isdecimal() for value in values):
            assert shown == sorted(shown, key=int)
    (note, *_) = importance(results).layout.annotations
    assert f"too few trials: {len(complete)} are complete" in note.text
