"""The content of figures against the table of trials, and their drawing as far as plotly's validation and JSON go."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.figures import (
    PLOTLY_CONFIG,
    Palette,
    curves_figure,
    curves_info,
    front_figure,
    front_info,
    history_figure,
    hypervolume_info,
    objective_info,
    objective_pairs,
    shares_figure,
    shares_info,
)
from nas.objectives import get


@pytest.fixture(scope="module")
def results(digits_study: Path) -> Results:
    return Results.load(digits_study)


def test_every_pair_is_drawn_once_with_the_cheap_objective_as_x() -> None:
    three = [get("accuracy"), get("macs"), get("images_per_s")]
    assert [(x.name, y.name) for x, y in objective_pairs(three)] == [
        ("macs", "accuracy"),
        ("images_per_s", "accuracy"),
        ("macs", "images_per_s"),
    ]
    assert objective_pairs(three[:1]) == []


def test_front_info_holds_every_complete_trial_and_its_values(results: Results) -> None:
    info = front_info(results, get("macs"), get("accuracy"))
    table = results.complete
    assert info.trials == table["trial"].tolist()
    assert info.x_values == pytest.approx(table["macs"].tolist(), rel=1e-6)
    assert info.y_values == pytest.approx(table["accuracy"].tolist(), rel=1e-6)
    assert info.on_front == table["on_front"].tolist()
    assert info.mixers == [item["stages"][-1]["mixer"]["name"] for item in table["architecture"]]
    assert info.texts[0].startswith("trial 0<br>conv → conv<br>throughput ")
    assert (info.x.log, info.y.log) == (True, False)


@pytest.mark.parametrize(("x", "y"), [("macs", "accuracy"), ("images_per_s", "accuracy"), ("macs", "images_per_s")])
def test_the_step_line_is_the_best_y_attained_at_each_x(results: Results, x: str, y: str) -> None:
    """The height of the line at each trial's x is the best y of all trials that are at least as good in x."""
    info = front_info(results, get(x), get(y))
    assert info.step_x == sorted(info.step_x)
    points = list(zip(info.x_values, info.y_values, strict=True))
    fewer_is_better = get(x).direction == "minimize"
    for at in info.x_values:
        attained = [b for a, b in points if (a <= at if fewer_is_better else a >= at)]
        if info.step_shape == "hv":  # the height of the last corner at or left of `at`
            corners = [b for a, b in zip(info.step_x, info.step_y, strict=True) if a <= at]
            height = corners[-1] if corners else None
        else:  # the height of the first corner at or right of `at`
            corners = [b for a, b in zip(info.step_x, info.step_y, strict=True) if a >= at]
            height = corners[0] if corners else None
        assert height == (max(attained) if attained else None)


def test_front_figure_draws_each_trial_once_and_carries_its_number(results: Results) -> None:
    info = front_info(results, get("macs"), get("accuracy"))
    figure = front_figure(info, Palette.of(results))
    traces = figure.to_plotly_json()["data"]
    points = {
        trial: (x, y, trace["marker"]["opacity"])
        for trace in traces
        if trace.get("customdata")
        for trial, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    }
    assert sum(len(trace.get("customdata") or ()) for trace in traces) == len(points) == len(info.trials)
    for trial, x, y, on in zip(info.trials, info.x_values, info.y_values, info.on_front, strict=True):
        assert points[trial][:2] == (x, y)
        assert (points[trial][2] == 1.0) == on
    legend = [trace["name"] for trace in traces if trace.get("showlegend") is not False]
    assert sorted(legend) == sorted(set(info.mixers))
    assert all(isinstance(trace["customdata"], list) for trace in traces if "customdata" in trace)


def test_many_points_are_drawn_with_webgl(results: Results) -> None:
    info = front_info(results, get("macs"), get("accuracy"))
    keys = ("trials", "x_values", "y_values", "mixers", "texts", "on_front")
    for times, kind in ((1, "scatter"), (2000 // len(info.trials) + 1, "scattergl")):
        many = replace(info, **{key: getattr(info, key) * times for key in keys})
        traces = front_figure(many, Palette.of(results)).to_plotly_json()["data"]
        assert {trace["type"] for trace in traces if trace.get("customdata")} == {kind}


def test_hypervolume_info_never_falls_and_ends_at_that_of_the_study(results: Results) -> None:
    info = hypervolume_info(results)
    assert info.trials == results.complete["trial"].tolist()
    assert info.values == sorted(info.values)
    assert info.values[-1] == pytest.approx(results.hypervolume, abs=1e-6)


@pytest.mark.parametrize(("name", "best"), [("accuracy", max), ("macs", min)])
def test_objective_info_keeps_the_best_so_far(results: Results, name: str, best: Any) -> None:
    info = objective_info(results, get(name))
    assert info.best == [best(info.values[: n + 1]) for n in range(len(info.values))]


def test_curves_info_is_the_front_only(results: Results) -> None:
    info = curves_info(results)
    assert info.trials == results.front["trial"].tolist()
    for trial, epochs, accuracies in zip(info.trials, info.epochs, info.accuracies, strict=True):
        curve = results.trial(trial)["curve"]
        assert epochs == [1, 2, 3, 4]
        assert accuracies == [entry["val_accuracy"] for entry in curve]
    traces = curves_figure(info, Palette.of(results)).to_plotly_json()["data"]
    assert sum(1 for trace in traces for y in trace["y"] if y is None) == len(info.trials)  # a gap after each


def test_shares_count_blocks_not_stages(results: Results) -> None:
    info = shares_info(results)
    blocks = dict.fromkeys(info.mixers, 0)
    for architecture in results.complete["architecture"]:
        for stage in architecture["stages"]:
            blocks[stage["mixer"]["name"]] += stage["depth"]
    total = sum(blocks.values())
    assert info.overall == pytest.approx([blocks[name] / total for name in info.mixers])
    assert math.isclose(sum(info.on_front), 1)
    assert info.on_front == sorted(info.on_front, reverse=True)


def test_figures_are_plain_json(results: Results) -> None:
    palette = Palette.of(results)
    figures = [
        *(front_figure(front_info(results, x, y), palette) for x, y in objective_pairs(results.objectives)),
        history_figure(hypervolume_info(results)),
        history_figure(objective_info(results, get("accuracy"))),
        curves_figure(curves_info(results), palette),
        shares_figure(shares_info(results)),
    ]
    for figure in figures:
        plain = figure.to_plotly_json()  # lists, not numpy: nothing for plotly to encode
        assert json.loads(json.dumps(plain, allow_nan=False)) == json.loads(figure.to_json())


def test_a_mixer_has_one_colour_and_symbol_in_every_figure(results: Results) -> None:
    palette = Palette.of(results)
    assert palette.mixers == ("attention", "conv", "global_filter", "pool", "shift", "unknown")
    pairs_of_marks = {(palette.colour(name), palette.symbol(name)) for name in palette.mixers}
    assert len(pairs_of_marks) == len(palette.mixers)
    many = Palette(tuple(str(number) for number in range(72)))
    assert len({(many.colour(name), many.symbol(name)) for name in many.mixers}) == 72


def test_nothing_in_the_toolbar_uploads() -> None:
    assert PLOTLY_CONFIG["showSendToCloud"] is False
    assert PLOTLY_CONFIG["displaylogo"] is False


def test_names_with_markup_are_escaped_in_the_hover_box(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any
) -> None:
    hostile = architecture(0)
    hostile["stages"][1]["mixer"] = {"name": "<b onclick=x>"}
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0], None, {"architecture": hostile})])
    info = front_info(Results.load(tmp_path), get("macs"), get("accuracy"))
    assert "<b o" not in info.texts[0]
    assert "&lt;b onclick=x&gt;" in info.texts[0]


def test_an_empty_study_gives_empty_figures(empty_study: Path) -> None:
    results = Results.load(empty_study)
    assert front_info(results, get("macs"), get("accuracy")).trials == []
    assert hypervolume_info(results).values == []
    assert curves_info(results).trials == []
    assert shares_info(results).mixers == []
