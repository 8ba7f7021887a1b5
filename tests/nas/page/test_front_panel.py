"""Panel "Front" in the browser: its numbers against the study's results, limits, choices, zoom, links and live changes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from nas.analysis.columns import StudyColumns
from nas.analysis.front import front_mask
from nas.analysis.results import Results
from nas.page.arrays import encode
from nas.page.document import PageState, document, encode_curves, encode_rows, encode_segments
from nas.page.fields import fields_of
from nas.study.content import StudySnapshot

pytestmark = pytest.mark.parametrize("front_end", ["report", "dashboard"], indirect=True, scope="module")

FIGURE = "document.querySelector('.front-figure .js-plotly-plot')"
OBJECTIVES = ("accuracy", "macs", "images_per_s")
HOSTILE = "<img src=x onerror=alert(1)> & <script>alert(2)</script>"


@pytest.fixture(scope="module")
def front_study(tmp_path_factory: pytest.TempPathFactory, study_writer: Any, random_study_trials: Any) -> Path:
    """60 trials in all states; two are outside the study's limits, some have intervals, one has a hostile failure."""
    trials = random_study_trials(60)
    for trial in trials:
        if trial.values is not None:
            speed = trial.values[2]
            trial.attributes["throughput"] = {"images_per_s_interval": [0.9 * speed, 1.2 * speed]}
    trials[2].constraints = {"macs": 5.0}
    trials[4].constraints = {"macs": 1.0}
    trials[5].attributes["failure"] = HOSTILE
    folder = tmp_path_factory.mktemp("studies") / "front"
    study_writer(folder, trials, name="<b>front</b>", notes={"3": HOSTILE}, pins=[0, 3])
    seeds = [("a", 0, 0.5), ("a", 1, 0.52), ("b", 0, 0.7), ("b", 1, 0.7)]
    records = [
        {"key": f"{name}{seed}", "id": name, "seed": seed, "epochs": 4, "images": 1, "pixels": 1, "curve": [[value, 1]]}
        for name, seed, value in seeds
    ]
    (folder / "fidelity").mkdir()
    (folder / "fidelity" / "trainings.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture(scope="module")
def results(front_study: Path) -> Results:
    return Results.load(front_study)


@pytest.fixture
def front(opened_study: Any, front_study: Path) -> Any:
    """Opens the panel at the values of an address; afterwards no script may have failed."""
    visits = []

    def open_front(values: str = "", *, reload: bool = False) -> Any:
        visit = opened_study(front_study, f"front?{values}", reload=reload)
        visit.wait_for(f"{FIGURE}?._fullLayout")
        visits.append(visit)
        return visit

    yield open_front
    assert visits[0].errors == []


def traces(visit: Any, meta: str) -> list[dict[str, Any]]:
    """The traces of a kind: what plotly was given."""
    found: list[dict[str, Any]] = visit.page.evaluate(
        """([figure, meta]) => figure.data.filter((trace) => trace.meta === meta).map((trace) => ({
            x: [...trace.x], y: [...trace.y], z: trace.z && [...trace.z], trials: [...(trace.customdata || [])],
            errors: trace.error_x && [trace.error_x.arrayminus, trace.error_x.array],
            heights: trace.error_y && trace.error_y.array,
        }))""",
        [visit.page.evaluate_handle(FIGURE), meta],
    )
    return found


def drawn(visit: Any, meta: str) -> set[int]:
    """The numbers of the trials in the traces of a kind."""
    return {trial for trace in traces(visit, meta) for trial in trace["trials"]}


def cards(visit: Any) -> dict[str, int]:
    """Title of a reason -> number of its trial."""
    found = visit.page.evaluate(
        "[...document.querySelectorAll('.choice')].flatMap((card) => [...card.querySelectorAll('h3')]"
        ".map((title) => [title.textContent, Number(card.dataset.trial)]))"
    )
    return dict(found)


def set_limit(visit: Any, key: str, text: str) -> None:
    box = visit.page.locator(f"#limit-{key}")
    box.fill(text)
    box.press("Enter")


def test_points_are_the_trials_that_count(front: Any, results: Results) -> None:
    visit = front()
    on_front = set(results.front["trial"])
    assert drawn(visit, "front") == on_front
    assert drawn(visit, "dominated") == set(results.complete["trial"]) - on_front
    for trace in traces(visit, "front") + traces(visit, "dominated"):
        rows = results.trials.loc[trace["trials"]]
        np.testing.assert_array_equal(trace["x"], rows["macs"])
        np.testing.assert_array_equal(trace["y"], rows["accuracy"])


def test_the_staircase_is_the_front_of_the_shown_axes(front: Any, results: Results) -> None:
    for x, direction in (("macs", "minimize"), ("images_per_s", "maximize")):
        (line,) = traces(front(f"x={x}"), "staircase")
        complete = results.complete
        mask = front_mask(complete[["accuracy", x]].to_numpy(), ["maximize", direction])
        assert sorted(line["trials"]) == sorted(complete["trial"][mask])
        assert line["x"] == sorted(line["x"])


def test_error_bars_are_intervals_and_the_noise_of_fidelity(front: Any, results: Results) -> None:
    noise = math.sqrt((2 * 0.01**2) / 2)  # two pairs, one of which differs by 0.02
    for trace in traces(front("x=images_per_s"), "front"):
        speeds = results.trials.loc[trace["trials"]]["images_per_s"]
        np.testing.assert_allclose(trace["errors"], [0.1 * speeds, 0.2 * speeds], rtol=1e-9)
        np.testing.assert_allclose(trace["heights"], noise, rtol=1e-9)


def test_further_trials_can_be_shown(front: Any, results: Results) -> None:
    visit = front()
    assert not any(drawn(visit, kind) for kind in ("infeasible", "stopped", "refused", "failed"))
    for kind in ("infeasible", "stopped", "refused", "failed"):
        visit.page.locator(f'[data-show="{kind}"]').check()
    visit.wait_for(f"{FIGURE}.data.some((trace) => trace.meta === 'failed')")
    for kind in ("stopped", "refused", "failed"):
        assert drawn(visit, kind) == set(results.trials["trial"][results.trials["state"] == kind])
    assert drawn(visit, "infeasible") == {2, 4}
    stopped = {
        trial: y for trace in traces(visit, "stopped") for trial, y in zip(trace["trials"], trace["y"], strict=True)
    }
    assert stopped[11] == pytest.approx(results.trials["curve"][11][-1]["val_accuracy"], rel=1e-6)
    assert "show=infeasible%2Cstopped%2Crefused%2Cfailed" in visit.page.url


def test_limits_are_texts_with_prefixes_and_part_of_the_address(front: Any, results: Results) -> None:
    visit = front()
    set_limit(visit, "macs", "400 k MACs")
    set_limit(visit, "accuracy", ">= .75")
    visit.wait_for("document.querySelector('.limit[data-key=accuracy]').classList.contains('set')")
    assert "limit.macs=..400000" in visit.page.url
    assert "limit.accuracy=0.75.." in visit.page.url
    complete = results.complete
    within = complete[(complete["macs"] <= 4e5) & (complete["accuracy"] >= 0.75)]
    assert drawn(visit, "front") | drawn(visit, "dominated") == set(within["trial"])
    assert drawn(visit, "outside") == set(complete["trial"]) - set(within["trial"])
    text = visit.page.locator(".front-limits p[role=status]").text_content()
    assert text.startswith(f"{len(within)} of {len(complete)} trials")
    assert "at most 400 k MACs" in text
    best = within.sort_values(["accuracy", "macs"], ascending=[False, True])["trial"].iloc[0]
    assert cards(visit)["Best validation accuracy"] == best
    assert len(traces(visit, "limit")) == 2

    visit.page.get_by_role("button", name="Remove all limits").click()
    visit.wait_for("!location.hash.includes('limit.')")


def test_a_limit_that_is_no_number_says_so(front: Any) -> None:
    visit = front()
    set_limit(visit, "macs", "many")
    assert "found “many”" in visit.page.locator("#limit-macs-error").text_content()
    assert "limit." not in visit.page.url


def test_without_a_trial_within_the_limits_the_nearest_is_named(front: Any, results: Results) -> None:
    visit = front("limit.macs=..20000&limit.accuracy=0.8..")
    complete = results.complete
    log_macs, accuracy = np.log(complete["macs"]), complete["accuracy"]
    excess = (log_macs - math.log(2e4)).clip(lower=0) / np.ptp(log_macs)
    excess += (0.8 - accuracy).clip(lower=0) / np.ptp(accuracy)
    assert cards(visit) == {}
    message = visit.page.locator(".front-choice p[role=status]").text_content()
    assert message.startswith(f"No trial is within these limits; the nearest one is trial {excess.idxmin()}: ")


def test_the_knee_is_farthest_above_the_line_between_the_extremes(front: Any, results: Results) -> None:
    complete = results.complete
    rows = complete[front_mask(complete[["accuracy", "macs"]].to_numpy(), ["maximize", "minimize"])]
    accuracy, cheapness = rows["accuracy"], -np.log(rows["macs"])
    distance = (accuracy - accuracy.min()) / np.ptp(accuracy) + (cheapness - cheapness.min()) / np.ptp(cheapness)
    assert cards(front())["Knee of the front"] == distance.idxmax()


def test_the_best_of_each_decade_and_the_cheapest_within_the_noise(front: Any, results: Results) -> None:
    found, complete = cards(front()), results.complete
    for title, bound in (("Best with at most 100 k MACs", 1e5), ("Best with at most 1 M MACs", 1e6)):
        within = complete[complete["macs"] <= bound]
        assert found[title] == within["accuracy"].idxmax()
    near = complete[complete["accuracy"] >= complete["accuracy"].max() - 0.01]
    expected = {"Fewest MACs near the best": near["macs"].idxmin()} if len(near) > 1 else {}
    assert {title: trial for title, trial in found.items() if title == "Fewest MACs near the best"} == expected


def test_a_click_selects_and_arrow_keys_go_along_the_front(front: Any, results: Results) -> None:
    visit = front()
    order = list(results.front.sort_values(["macs", "trial"])["trial"])
    target = order[len(order) // 2]
    place = visit.page.evaluate(
        f"""(() => {{ const {{xaxis, yaxis}} = {FIGURE}._fullLayout, box = {FIGURE}.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(app.view.study.value('macs', {target})),
                    box.top + yaxis._offset + yaxis.d2p(app.view.study.value('accuracy', {target}))]; }})()"""
    )
    visit.page.mouse.move(*place)
    visit.wait_for(f"document.querySelector('.hover-box')?.textContent.includes('Trial {target}')")
    visit.page.mouse.click(*place)
    visit.wait_for(f"location.hash.includes('trial={target}')")
    visit.wait_for(f"{FIGURE}.data.at(-1).customdata[0] === {target}")
    assert visit.page.locator("#drawer").is_visible()
    visit.page.locator(".front-figure").focus()
    visit.page.keyboard.press("ArrowRight")
    following = order[order.index(target) + 1]
    visit.wait_for(f"location.hash.includes('trial={following}')")
    assert visit.page.locator(".front .for-readers").text_content().startswith(f"Trial {following}, on the front: ")
    visit.page.keyboard.press("Home")
    visit.wait_for(f"app.view.selected === {order[0]}")


def test_a_link_opens_the_same_view(front: Any) -> None:
    zoom = "zoom.front=params.log/accuracy~3~4~0.7~0.9"
    visit = front(
        f"x=params&colour=images_per_s&symbol=state&show=failed&limit.params=..9000&trial=3&{zoom}", reload=True
    )
    value = "document.querySelector('select[data-name={}]').value"
    for name, expected in (("x", "params"), ("y", "accuracy"), ("colour", "images_per_s"), ("symbol", "state")):
        assert visit.page.evaluate(value.format(name)) == expected
    assert visit.page.input_value("#limit-params") == "9 k"
    assert visit.page.locator('[data-show="failed"]').is_checked()
    assert visit.page.evaluate(f"{FIGURE}._fullLayout.xaxis.range") == [3, 4]
    assert visit.page.evaluate(f"{FIGURE}._fullLayout.yaxis.range") == [0.7, 0.9]
    assert drawn(visit, "selected") == {3}
    assert drawn(visit, "pinned") == {0, 3}


def test_three_axes(front: Any, results: Results) -> None:
    visit = front("z=images_per_s")
    visit.wait_for(f"{FIGURE}._fullLayout.scene")
    points = {
        trial: z for trace in traces(visit, "front") for trial, z in zip(trace["trials"], trace["z"], strict=True)
    }
    assert points == {trial: results.trials["images_per_s"][trial] for trial in results.front["trial"]}


def test_texts_of_a_study_stay_texts(front: Any) -> None:
    visit = front("show=failed&trial=5&colour=param:none")
    visit.wait_for("document.querySelector('#drawer h2')")
    assert visit.page.locator("h1").text_content() == "<b>front</b>"
    visit.page.evaluate(
        "hoverBox.show(frontHover.nodes(app.view, frontView.current(app.view.study), 5), {clientX: 9, clientY: 9})"
    )
    assert HOSTILE in visit.page.locator(".hover-box").text_content()
    assert visit.page.locator("main img, .hover-box img, .hover-box script, h1 b").count() == 0


@pytest.fixture(scope="module")
def special_studies(tmp_path_factory: pytest.TempPathFactory, study_writer: Any, stored_trial: Any) -> dict[str, Path]:
    """Studies without what figures usually show."""
    folder = tmp_path_factory.mktemp("special")
    known = [stored_trial([0.5, 100.0], None, {"macs": 100, "params": 5})]
    failed = [stored_trial(None, TrialState.FAIL, {"macs": 100.0 * (i + 1), "failure": HOSTILE}) for i in range(3)]
    infinite = [stored_trial([0.5, math.inf]), stored_trial([0.6, 0.0]), stored_trial([0.6, 0.0])]
    two, five = ("accuracy", "macs"), ("accuracy", "macs", "params", "activation_bytes", "images_per_s")
    many = [stored_trial([0.1 * i, 100.0 - i, 10.0 + i, 5.0, 7.0 * i]) for i in range(1, 6)]
    return {
        "empty": study_writer(folder / "empty", objectives=two),
        "one": study_writer(folder / "one", known, objectives=two),
        "failed": study_writer(folder / "failed", failed, objectives=two),
        "infinite": study_writer(folder / "infinite", infinite, objectives=two),
        "single": study_writer(folder / "single", [stored_trial([0.5])], objectives=("accuracy",)),
        "five": study_writer(folder / "five", many, objectives=five),
    }


@pytest.mark.parametrize(
    ("name", "best"), [("empty", None), ("one", 0), ("failed", None), ("infinite", 1), ("single", 0), ("five", 4)]
)
def test_special_studies(opened_study: Any, special_studies: dict[str, Path], name: str, best: int | None) -> None:
    visit = opened_study(special_studies[name], "front?show=failed,refused,stopped")
    visit.wait_for(f"{FIGURE}?._fullLayout")
    if best is None:
        assert visit.page.locator(".front-choice p[role=status]").text_content() == "No trial is complete yet."
    else:
        assert cards(visit)["Best validation accuracy"] == best
    axes = f"[{FIGURE}._fullLayout.xaxis, {FIGURE}._fullLayout.yaxis]"
    lows = visit.page.evaluate(f"{axes}.filter((axis) => axis.type === 'linear').map((axis) => axis.range[0])")
    assert all(low >= 0 for low in lows) or best is None  # no value is below 0
    assert visit.errors == []


def test_many_points_are_thinned_where_they_lie_close(front: Any) -> None:
    visit = front()
    count = 20_000
    kept = visit.page.evaluate(
        """(count) => {
            const x = Float64Array.from({length: count}, (_, i) => (i * 0.618) % 1);
            const y = Float64Array.from({length: count}, (_, i) => (i * 0.414) % 1);
            const within = (range) => frontPoints.thinned([...x.keys()], [x, y], [range, range]);
            return {all: within([0, 1]), part: within([0, 0.1]), limit: frontPoints.MAX_DRAWN};
        }""",
        count,
    )
    assert 0.2 * kept["limit"] < len(kept["all"]["kept"]) <= kept["limit"]
    assert kept["all"]["hidden"] == count - len(kept["all"]["kept"])
    assert kept["part"]["hidden"] == 0  # zoomed in, all are drawn
    assert len(kept["part"]["kept"]) > 100


def change_of(folder: Path, first: int) -> dict[str, Any]:
    """The change that a server would send to a page with the trials below `first`."""
    study = StudySnapshot.of(folder)
    columns = StudyColumns(study.objectives)
    columns.update(study.trials)
    whole = document(study.info, columns, PageState("study"))
    rows = np.arange(first, columns.count)
    parts = {name: whole[name] for name in ("cursor", "count", "fields", "history", "meta", "searching")}
    encoded = {"index": encode(rows, "i4"), "columns": encode_rows(columns, fields_of(columns), rows)}
    encoded |= {"curves": encode_curves(columns, rows), "segments": encode_segments(columns, rows)}
    return parts | {"rows": encoded}


def test_an_update_keeps_zoom_selection_and_the_box_at_the_pointer(
    front: Any, front_study: Path, tmp_path: Path, study_writer: Any, random_study_trials: Any
) -> None:
    visit = front("trial=3")
    visit.page.evaluate(
        "app.view.source.subscribe = (key, { change }) => { window.pushChange = change; return () => {}; }; app.start()"
    )
    visit.wait_for(f"window.pushChange && {FIGURE}?._fullLayout")
    box = visit.page.locator(".front-figure .nsewdrag").first.bounding_box()
    visit.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=4)
    visit.page.mouse.up()
    visit.wait_for("location.hash.includes('zoom.front')")
    visit.page.evaluate(
        "hoverBox.show(frontHover.nodes(app.view, frontView.current(app.view.study), 3), {clientX: 9, clientY: 9})"
    )
    ranges = f"[{FIGURE}._fullLayout.xaxis.range, {FIGURE}._fullLayout.yaxis.range].flat()"
    before, count = visit.page.evaluate(ranges), visit.page.evaluate("app.view.study.count")
    larger = study_writer(tmp_path / "larger", random_study_trials(64), name="larger")
    visit.page.evaluate("(change) => window.pushChange(change)", change_of(larger, count))
    visit.wait_for(f"{FIGURE}.data.some((trace) => (trace.customdata || []).includes(62))")
    assert visit.page.evaluate("app.view.study.count") == 64
    np.testing.assert_allclose(visit.page.evaluate(ranges), before, rtol=1e-5)
    assert drawn(visit, "selected") == {3}
    assert visit.page.locator(".hover-box").is_visible()
    visit.page.get_by_role("button", name="Zoom to all").click()
    visit.wait_for("!location.hash.includes('zoom.front')")
