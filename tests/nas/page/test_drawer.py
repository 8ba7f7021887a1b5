"""The drawer of a trial in the browser, in the report: what it says, and what its buttons and keys do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.formatting import dimensions, shell_path
from nas.report import write
from nas.study.database.storage import read_study
from search_space import Architecture, cost_by_part, presets


@pytest.fixture(scope="module")
def opened(choice_study: Path, visit: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of `choice_study`, opened once."""
    return visit(write(choice_study, tmp_path_factory.mktemp("report") / "report.html"))


@pytest.fixture
def drawer(opened: Any) -> Iterator[Callable[[int], Any]]:
    """Selects a trial by the address and returns the drawer with its details; no script may fail."""

    def select(trial: int) -> Any:
        opened.page.evaluate(f"location.hash = '#/study/front?trial={trial}'")
        opened.wait_for(f"document.querySelector('#trial-title')?.textContent === 'Trial {trial}'")
        opened.wait_for("document.querySelector('#drawer').ariaBusy === 'false'")
        return opened.page.locator("#drawer")

    yield select
    assert opened.errors == []


def texts(locator: Any) -> list[str]:
    found: list[str] = locator.all_text_contents()
    return found


def test_a_link_opens_the_drawer_and_closing_it_forgets_the_trial(opened: Any, drawer: Callable[[int], Any]) -> None:
    assert drawer(4).is_visible()
    assert texts(drawer(4).locator(".badges .badge")) == ["best", "on the front", "complete", "pinned"]
    drawer(4).get_by_role("button", name="Close").click()
    opened.wait_for("document.querySelector('#drawer').hidden")
    assert "trial=" not in opened.page.url


@pytest.mark.parametrize("trial", ["6", "-1", "1.5", "x", "1e99"])
def test_an_address_without_such_a_trial_opens_no_drawer(trial: str, opened: Any) -> None:
    opened.page.evaluate(f"location.hash = '#/study/front?trial={trial}'")
    opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not opened.page.locator("#drawer").is_visible()
    assert opened.errors == []


def test_a_beaten_trial_names_the_trial_that_beats_it(opened: Any, drawer: Callable[[int], Any]) -> None:
    sentence = drawer(2).locator(".standing").text_content()
    assert sentence.startswith("Beaten by trial 1, which has 1.0 points more accuracy, ")
    assert "fewer MACs and 75 % more throughput" in sentence
    assert sentence.endswith("It is number 3 of 5 in validation accuracy.")
    drawer(2).locator(".standing").get_by_role("button", name="trial 1").click()
    opened.wait_for("document.querySelector('#trial-title').textContent === 'Trial 1'")


def test_a_trial_of_the_front_is_compared_with_the_next_ones(drawer: Callable[[int], Any]) -> None:
    lines = texts(drawer(1).locator(".standing p"))
    assert lines[0].startswith("It has 3.0 points more accuracy, ")
    assert lines[0].endswith("13 % less throughput than trial 0, the next below it on the front.")
    assert lines[1].startswith("The next above, trial 4, has 7.0 points more accuracy, ")
    assert texts(drawer(4).locator(".standing p"))[0] == "Best in validation accuracy of all trials."


def test_values_have_intervals_and_predictions(drawer: Callable[[int], Any]) -> None:
    accuracy, macs, speed = texts(drawer(1).locator(".objective"))
    assert accuracy == "validation accuracy0.8300predicted 0.8200 (0.8000 to 0.8400)"
    assert macs.startswith("MACs")
    assert speed == "throughput3.50 k images/s95 %: 3.15 k to 3.85 k images/s"


def test_the_network_is_drawn_part_by_part_with_its_shares(choice_study: Path, drawer: Callable[[int], Any]) -> None:
    parts = drawer(4).locator(".parts > li")
    assert texts(parts.locator(".part-title b")) == ["image", "stem", "stage 1", "stage 2", "head"]
    assert texts(parts.locator(".shape")) == [
        dimensions(8, 8, 1), dimensions(4, 4, 32), dimensions(4, 4, 32), dimensions(2, 2, 32), "10 classes",
    ]  # fmt: skip
    assert parts.nth(2).locator(".block-slab").count() == 2
    stage = parts.nth(2).text_content()
    assert "conv k 5, groups depthwise" in stage
    assert "residual form pre_norm" in stage
    architecture = Architecture.from_dict(read_study(choice_study).get_trials()[4].user_attrs["architecture"])
    macs = [part.macs for part in cost_by_part(architecture)]
    shares = [parts.nth(i).locator(".share").first.get_attribute("aria-label") for i in range(1, 5)]
    for share, value in zip(shares, macs, strict=True):
        assert abs(float(share.split(" ")[0].replace("<", "")) - 100 * value / sum(macs)) < 1
    widths = parts.locator(".share:first-child i").evaluate_all(
        "(bars) => bars.map((bar) => parseFloat(bar.style.width))"
    )
    assert sum(widths) == pytest.approx(100, abs=0.01)


def test_the_learning_curve_is_drawn_against_the_front(opened: Any, drawer: Callable[[int], Any]) -> None:
    charts = drawer(2).locator(".chart")
    assert charts.count() == 2
    lines = charts.nth(0).locator("polyline")
    assert lines.count() == 5  # four of the front, and its own
    charts.nth(0).locator("svg.line-chart").hover()
    assert "epoch 3: 0.7175" in charts.nth(0).text_content()
    assert texts(charts.nth(1).locator(".chart-legend span")) == [" validation", " training"]


def test_the_nearest_trials_say_what_differs_and_what_it_changed(drawer: Callable[[int], Any]) -> None:
    first = drawer(1).locator(".neighbour").nth(0)
    assert first.locator(".neighbour-title").text_content() == "trial 0on the front"
    assert texts(first.locator(".changes li")) == ["stage 1 conv k: 5 3"]
    assert texts(first.locator(".change.worse")) == ["▼ 3.0 points less accuracy"]
    second = drawer(1).locator(".neighbour").nth(1)
    assert texts(second.locator(".changes li")) == ["stage 1 depth: 1 2"]


def test_a_failure_shows_its_reason_and_traceback_as_text(opened: Any, drawer: Callable[[int], Any]) -> None:
    ending = drawer(5).locator(".ending")
    assert ending.locator("h3").text_content() == "Failure"
    assert ending.locator(".reason").text_content() == "<script>alert(1)</script> out of memory"
    assert ending.locator("pre").text_content().endswith("MemoryError: <img src=x>\n")
    assert opened.page.locator("#drawer img").count() == 0
    assert drawer(5).locator(".chart").count() == 0
    assert "It has no result" in drawer(5).locator(".standing").text_content()


def test_commands_and_the_architecture_can_be_copied(choice_study: Path, drawer: Callable[[int], Any]) -> None:
    commands = texts(drawer(4).locator(".command pre"))
    assert commands[:2] == [
        f"nas show {shell_path(choice_study)} 4",
        f"nas export {shell_path(choice_study)} 4 --out model-4",
    ]
    stored = Architecture.from_dict(read_study(choice_study).get_trials()[4].user_attrs["architecture"])
    as_json, as_yaml = texts(drawer(4).locator(".fold pre"))[-2:]
    assert Architecture.from_json(as_json).id == stored.id
    assert Architecture.from_yaml(as_yaml).id == stored.id


def test_what_is_copied_is_the_command(opened: Any, choice_study: Path, drawer: Callable[[int], Any]) -> None:
    drawer(4)
    opened.page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    opened.page.locator(".command").nth(1).get_by_role("button", name="Copy").click()
    opened.wait_for("window.copied !== undefined")
    assert opened.page.evaluate("window.copied") == f"nas export {shell_path(choice_study)} 4 --out model-4"
    drawer(4).get_by_role("button", name="Copy link").click()
    opened.wait_for("window.copied.endsWith('trial=4')")


def test_arrow_keys_step_through_the_front(opened: Any, drawer: Callable[[int], Any]) -> None:
    drawer(1)
    seen = []
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        opened.page.keyboard.press(key)
        opened.page.wait_for_timeout(60)
        seen.append(opened.page.locator("#trial-title").text_content())
    assert seen == ["Trial 4", "Trial 1", "Trial 0"]
    drawer(0).get_by_role("button", name="Next trial on the front").click()
    opened.wait_for("document.querySelector('#trial-title').textContent === 'Trial 1'")


def test_notes_and_pins_are_shown_and_not_changed_in_a_report(drawer: Callable[[int], Any]) -> None:
    assert drawer(1).locator(".note").text_content() == "<b>remember</b>"
    assert drawer(1).locator("textarea").count() == 0
    assert not drawer(1).get_by_role("button", name="Pin").is_visible()
    assert drawer(0).locator(".note").count() == 0


def test_channel_graphs_are_drawn_when_they_are_unfolded(
    graph_study: Path, visit: Callable[..., Any], tmp_path: Path
) -> None:
    opened = visit(write(graph_study, tmp_path / "report.html"))
    page = opened.page
    page.evaluate("location.hash = '#/study/front?trial=0'")
    opened.wait_for("document.querySelector('#drawer .record')")
    assert texts(page.locator(".block-graph h4")) == ["Stage 1", "Stage 2"]
    assert "yes (g1*g2 = 16*4 = 64 <= 64)" in page.locator(".block-graph").nth(0).text_content()
    assert page.locator("#drawer .js-plotly-plot").count() == 0
    page.get_by_text("Channel dependency graphs").click()
    graph = "document.querySelector('#drawer .js-plotly-plot')"
    opened.wait_for(f"{graph} && {graph}._fullLayout && {graph}.querySelectorAll('image').length === 3")
    highlighted = f"{graph}.data[{graph}.layout.meta.first + 2].y[0] * 64 - 0.5"
    assert page.evaluate(highlighted) == pytest.approx(40, abs=0.01)  # the middle output of the third group
    x, y = page.evaluate(
        f"""() => {{
          const div = {graph};
          div.scrollIntoView({{block: 'center', behavior: 'instant'}});
          const {{xaxis, yaxis}} = div._fullLayout, box = div.getBoundingClientRect();
          return [box.left + xaxis._offset + xaxis.d2p(3), box.top + yaxis._offset + yaxis.d2p(5.5 / 64)];
        }}"""
    )
    page.mouse.move(x, y)
    opened.wait_for(f"Math.round({highlighted}) === 5")
    opened.check_quiet()


def test_an_unknown_architecture_and_hostile_names_stay_text(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any, visit: Callable[..., Any]
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    unknown = architecture(0)
    unknown["stages"][0]["mixer"] = {"name": hostile, "option": hostile}
    names = {"name": hostile, "class_names": [hostile, "b"], "num_classes": 2, "image_size": [8, 8], "in_chans": 1}
    confusion = {"totals": [2, 2], "predicted": [1, 3], "correct": [1, 2], "confusions": [[0, 1, 1]]}
    trials = [stored_trial([0.5, 10.0, 1.0], None, {"architecture": unknown, "device": hostile})]
    study_writer(tmp_path, trials, name=hostile, dataset=names, test_confusion={"0": confusion})
    opened = visit(write(tmp_path, tmp_path / "report.html"))
    opened.page.evaluate("location.hash = '#/study/front?trial=0'")
    opened.wait_for("document.querySelector('#drawer .confusion-matrix')")
    drawer = opened.page.locator("#drawer").text_content()
    assert f"option {hostile}" in drawer
    assert "This version does not know this architecture" in drawer
    assert texts(opened.page.locator(".class-table").nth(0).locator("tbody tr").nth(0).locator("td"))[:2] == [
        hostile,
        "2",
    ]
    assert opened.page.locator("img").count() == 0
    opened.check_quiet()


@pytest.mark.parametrize("name", presets.names())
def test_yaml_of_the_script_describes_the_same_architecture(name: str, opened: Any) -> None:
    architecture = presets.get(name)
    text = opened.page.evaluate("(plain) => yaml.text(plain)", architecture.to_dict())
    assert Architecture.from_yaml(text).id == architecture.id


def test_texts_that_yaml_would_read_otherwise_are_quoted(opened: Any) -> None:
    import yaml

    plain = {"a": ["no", "1e3", "null", "", "x: y", "#", "- z", "é\n\"'", "2 3"], "b": {}, "c": [], "d": [[1, [2]], {}]}
    text = opened.page.evaluate("(plain) => yaml.text(plain)", plain)
    assert yaml.safe_load(text) == json.loads(json.dumps(plain))
