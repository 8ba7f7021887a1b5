"""The panel Health in the browser: findings, losses by reason, predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.analysis.health import health
from nas.analysis.results import Results

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
