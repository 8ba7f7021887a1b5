"""The panel Health in the browser: findings, losses by reason, predictions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.analysis.health import health
from nas.analysis.results import Results
from nas.study.database.drivers import LEASE_S, DriverRecord
from nas.study.database.storage import open_study

WORDS = {"bad": "✕bad", "warn": "!look at it", "unknown": "?not known", "good": "✓good"}


@pytest.fixture(scope="module")
def opened(opened_study: Callable[..., Any], halving_study: Path) -> Any:
    return opened_study(halving_study, "health")


def test_cards_say_the_findings_the_worst_first(opened: Any, halving_study: Path) -> None:
    findings = sorted(health(Results.load(halving_study)), key=lambda finding: list(WORDS).index(finding.verdict))
    cards = opened.page.locator("#panel-health .card")
    assert cards.locator("h3").all_text_contents() == [finding.title for finding in findings]
    assert cards.locator(".verdict").all_text_contents() == [WORDS[finding.verdict] for finding in findings]
    assert cards.locator(".value").all_text_contents() == [finding.value for finding in findings]
    assert len({finding.verdict for finding in findings}) > 1


def test_verdicts_differ_in_colour(opened: Any) -> None:
    colours = opened.page.eval_on_selector_all(
        "#panel-health .card",
        "cards => cards.map((card) => [card.className, getComputedStyle(card).borderLeftColor])",
    )
    assert len({colour for _, colour in colours}) == len({name for name, _ in colours})


def test_failures_are_grouped_and_select_their_trial(opened: Any) -> None:
    rows = opened.page.locator("#panel-health tbody tr").all_inner_texts()
    assert len(rows) == 1
    assert rows[0].split("\t")[:3] == ["failed", "out of GPU memory", "4"]
    opened.page.click("#panel-health [data-trial='19']")
    opened.wait_for("location.hash.includes('trial=19')")
    opened.page.evaluate("state.set({trial: null})")


def test_sampler_predictions(opened: Any, halving_study: Path) -> None:
    trials = Results.load(halving_study).complete
    inside = int((trials["trial"] % 2 == 1).sum())  # the intervals of the others end below the result
    text = opened.page.inner_text("#panel-health")
    assert (
        f"{inside} of {len(trials)} values ({round(100 * inside / len(trials))} %) within the predicted intervals"
        in text
    )
    x, y = [
        opened.page.evaluate(f"Array.from(document.querySelector('#panel-health .js-plotly-plot').data[1].{axis})")
        for axis in "xy"
    ]
    assert x == pytest.approx(trials["accuracy"].to_list())
    assert [predicted - actual for predicted, actual in zip(y, x, strict=True)] == pytest.approx([0.01] * len(x))


def test_no_console_error(opened: Any) -> None:
    opened.check_quiet()


def test_refused_and_duplicate_trials_have_their_reasons(opened_study: Callable[..., Any], digits_study: Path) -> None:
    opened = opened_study(digits_study, "health")
    rows = [row.split("\t")[:3] for row in opened.page.locator("#panel-health tbody tr").all_inner_texts()]
    assert rows == [
        ["failed", "loss not finite", "3"],
        ["refused", "limit macs", "3"],
        ["duplicate", "duplicate of an earlier trial", "3"],
    ]
    opened.check_quiet()


def test_repeated_trials_are_named(
    opened_study: Callable[..., Any], study_writer: Callable[..., Path], stored_trial: Any, tmp_path: Path
) -> None:
    trials = [
        stored_trial(None, TrialState.FAIL, {"failure": "<script>alert(1)</script>"}),
        stored_trial([0.5, 10.0, 3.0], None, {"retried_from": 0}),
    ]
    opened = opened_study(study_writer(tmp_path / "repeated", trials), "health")
    rows = opened.page.locator("#panel-health tbody tr").all_inner_texts()
    assert rows[0].split("\t")[1] == "<script>alert(1)</script>"
    assert rows[1].split("\t") == ["0", "1", "complete"]
    opened.check_quiet()


@pytest.fixture
def driven_study(tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any) -> Path:
    """A study of two drivers, one of which was lost; its machine has a hostile name."""
    names = ("node1/11/aaaaaaaa", "node2/22/bbbbbbbb")
    running = [stored_trial(None, None, {"driver": names[number % 2]}) for number in range(3)]
    folder = study_writer(tmp_path / "driven", [stored_trial([0.5, 1e6, 10.0]), *running])
    now_s = time.time()
    since = "2026-01-05T09:00:00+00:00"
    records = (DriverRecord("node1", 11, since, now_s), DriverRecord("<img src=x>", 22, since, now_s - 2 * LEASE_S))
    for name, record in zip(names, records, strict=True):
        open_study(folder).set_user_attr(f"driver:{name}", asdict(record))
    return folder


@pytest.mark.parametrize("front_end", ["report", "dashboard"], indirect=True)
def test_drivers_are_listed_with_their_trials(opened_study: Callable[..., Any], driven_study: Path) -> None:
    opened = opened_study(driven_study, "health")
    table = opened.page.locator("#panel-health table", has_text="Processes that search this study")
    rows = [row.split("\t") for row in table.locator("tbody tr").all_inner_texts()]
    assert [[row[0], row[1], row[4]] for row in rows] == [["node1", "11", "1, 3"], ["<img src=x>", "22", "2"]]
    assert rows[0][3] == "searches"
    assert re.fullmatch(r"lost, last heard of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", rows[1][3])
    assert not opened.errors


def test_a_study_without_drivers_has_no_table_of_them(opened: Any) -> None:
    assert "Processes that search" not in opened.page.inner_text("#panel-health")
