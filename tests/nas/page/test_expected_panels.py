"""The front that a model expects, on the page: figure, table and address, against `nas.analysis.expected_front`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.expected_front import ExpectedFront, expected_front
from nas.analysis.results import Results

pytestmark = pytest.mark.parametrize("front_end", ["report", "dashboard"], indirect=True, scope="module")

FIGURE = "document.querySelector('.front-figure .js-plotly-plot')"
BOX = "[data-show='expected']"


@pytest.fixture(scope="module")
def found(noisy_study: Path) -> ExpectedFront:
    return expected_front(Results.load(noisy_study))


@pytest.fixture
def opened(opened_study: Any, noisy_study: Path) -> Any:
    """Opens a view of the study once a model has been fitted."""

    def open_view(view: str) -> Any:
        visit = opened_study(noisy_study, view)
        visit.wait_for("expected.of(app.view.study)")
        return visit

    return open_view


def expected_points(visit: Any) -> list[dict[str, Any]]:
    """The trace of the expected front, as plotly was given it."""
    points: list[dict[str, Any]] = visit.page.evaluate(
        """(figure) => figure.data.filter(({ meta }) => meta === 'expected').map((trace) => ({
            trials: trace.customdata, name: trace.name, y: [...trace.y], high: trace.error_y && trace.error_y.array,
        }))""",
        visit.page.evaluate_handle(FIGURE),
    )
    return points


def test_the_figure_has_it_at_expected_values(opened: Any, found: ExpectedFront) -> None:
    visit = opened("front?x=macs")
    visit.wait_for(f"{FIGURE}?.data?.some(({{ meta }}) => meta === 'expected')")
    (points,) = expected_points(visit)
    assert (points["name"], set(points["trials"])) == ("expected front", set(found.front))
    values = [found.values[trial] for trial in points["trials"]]
    np.testing.assert_array_equal(points["y"], [value.median for value in values])
    np.testing.assert_allclose(points["high"], [value.high - value.median for value in values])
    help_text = visit.page.locator(".front-main .notes").inner_text()
    assert f"Expected front: the {len(found.front)} trials" in help_text
    assert "a model of 40 results" in help_text


def test_it_can_be_switched_off(opened: Any) -> None:
    visit = opened("front?x=macs")
    visit.page.locator(BOX).set_checked(False)
    visit.wait_for(f"!{FIGURE}.data.some(({{ meta }}) => meta === 'expected')")
    assert "expected=0" in visit.page.url
    assert "Expected front" not in visit.page.locator(".front-main .notes").inner_text()
    visit.page.locator(BOX).set_checked(True)
    visit.wait_for(f"{FIGURE}.data.some(({{ meta }}) => meta === 'expected')")


def test_limits_apply_to_it(opened: Any, found: ExpectedFront, noisy_study: Path) -> None:
    macs = Results.load(noisy_study).trials["macs"]
    limit = float(np.median([macs[trial] for trial in found.front]))
    visit = opened(f"front?x=macs&limit.macs=..{limit}")
    visit.wait_for(f"{FIGURE}?.data?.some(({{ meta }}) => meta === 'expected')")
    shown = {trial for points in expected_points(visit) for trial in points["trials"]}
    assert shown == {trial for trial in found.front if macs[trial] <= limit} < set(found.front)


def test_only_trials_that_the_model_knows_are_said_to_be_off_it(
    opened: Any, found: ExpectedFront, noisy_study: Path
) -> None:
    visit = opened("front?x=macs")
    visit.wait_for(f"{FIGURE}?.data?.some(({{ meta }}) => meta === 'expected')")
    lucky = sorted({*Results.load(noisy_study).front["trial"]} - {*found.front})
    assert len(lucky) > 1
    notes = visit.page.locator(".front-main .notes")
    assert f"; {len(lucky)} on the front of results are not on it." in notes.inner_text()
    # As in a dashboard whose last analysis is older than the first of these trials.
    told = visit.page.evaluate(
        """(trial) => {
            const { study } = app.view, say = () => frontHover.sentence(study, trial), before = say(), of = expected.of;
            const found = of(study);
            expected.of = () => ({ ...found, value: (number) => number === trial ? NaN : found.value(number) });
            const columns = ["macs", "accuracy"].map((key) => study.numbers(key));
            const scene = { study, view: frontView.current(study), rules: [], points: { columns } };
            const after = [say(), frontExpected.sentence(scene)];
            expected.of = of;
            return [before, ...after];
        }""",
        int(lucky[0]),
    )
    assert [text.split(":")[0] for text in told[:2]] == [
        f"Trial {lucky[0]}, on the front, not on the expected one",
        f"Trial {lucky[0]}, on the front",
    ]
    assert f"; {len(lucky) - 1} on the front of results" in told[2]


def test_trials_beyond_a_limit_are_not_counted(opened: Any, found: ExpectedFront, noisy_study: Path) -> None:
    results = Results.load(noisy_study)
    macs, lucky = results.trials["macs"], {*results.front["trial"]} - {*found.front}
    limit = float(np.median([macs[trial] for trial in lucky]))
    visit = opened(f"front?x=macs&limit.macs=..{limit}")
    visit.wait_for(f"{FIGURE}?.data?.some(({{ meta }}) => meta === 'expected')")
    count = sum(macs[trial] <= limit for trial in lucky)
    assert 0 < count < len(lucky)
    assert f"; {count} on the front of results" in visit.page.locator(".front-main .notes").inner_text()


def test_the_table_has_it(opened: Any, found: ExpectedFront) -> None:
    visit = opened("table?filter=on_expected_front&sort=-expected")
    names = visit.page.evaluate("[...document.querySelectorAll('thead button')].map(({ dataset }) => dataset.name)")
    rows = visit.page.evaluate(
        "[...document.querySelectorAll('tr[data-trial]')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    trials = [int(row[names.index("trial")]) for row in rows]
    assert trials == sorted(found.front, key=lambda trial: -found.values[trial].median)
    for trial, row in zip(trials, rows, strict=True):
        value = found.values[trial]
        assert row[names.index("on_expected_front")] == "yes"
        assert row[names.index("expected")] == f"{value.median:.4f} ± {(value.high - value.low) / 2:.4f}"


def test_files_of_the_table_have_it(opened: Any, found: ExpectedFront) -> None:
    visit = opened("table?filter=&sort=")
    arguments = "(app.view.study, app.view, [...Array(app.view.study.count).keys()])"
    rows = json.loads(visit.page.evaluate(f"tableExport.json{arguments}"))
    assert {row["trial"] for row in rows if row["on_expected_front"]} == set(found.front)
    for row in rows:
        value = found.values.get(row["trial"])
        assert row["expected"] == (None if value is None else value.median)
        assert (row["expected_deviation"] is None) == (value is None)
    (first, *_) = csv.DictReader(io.StringIO(visit.page.evaluate(f"tableExport.csv{arguments}")))
    assert float(first["expected"]) == found.values[0].median
