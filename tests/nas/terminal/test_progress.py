"""Progress of a search: what is counted from its events, and what a terminal and a file get to see."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from rich.console import Console

from nas import objectives
from nas.analysis.front import hypervolume
from nas.study.events import Event, SearchStarted, TrialRecorded, TrialStarted
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed, Duplicate, Failed, Paused, Refused, Stopped, TrialOutcome
from nas.terminal.progress import SearchTally, TerminalDisplay

OBJECTIVES = (objectives.get("macs"), objectives.get("accuracy"))  # accuracy need not be the first
ESCAPE = "\x1b"


def started(
    target: int = 10,
    values: Sequence[tuple[float, ...]] = (),
    counts: dict[str, int] | None = None,
    pauses: bool = False,
    paused: Sequence[int] = (),
) -> SearchStarted:
    return SearchStarted(OBJECTIVES, target, 2, values, counts or {}, pauses, paused)


def trained(accuracy: float) -> Trained:
    return Trained({"accuracy": accuracy}, curve=[], train_s=1.0, wall_s=2.0, overhead_s=0.5)


def completed(number: int, macs: float, accuracy: float) -> list[Event]:
    outcome = Completed(number, Measured(), trained(accuracy))
    return [TrialStarted(number), TrialRecorded(number, outcome, (macs, accuracy))]


def ended(number: int, outcome: TrialOutcome) -> list[Event]:
    return [TrialStarted(number), TrialRecorded(number, outcome)]


def tally_of(*events: Event) -> SearchTally:
    tally = SearchTally()
    for event in events:
        tally.notify(event)
    return tally


def test_tally_counts_every_outcome() -> None:
    tally = tally_of(
        started(),
        *completed(0, 1e6, 0.5),
        *completed(1, 2e6, 0.75),
        *ended(2, Refused("limit images_per_s: 5 < 10", seed=1)),
        TrialRecorded(3, Refused("limit macs: 2 > 1")),  # no worker was given it
        TrialRecorded(4, Duplicate(0)),
        *ended(5, Failed("ValueError: bad")),
        TrialStarted(6),
        TrialStarted(7),
    )
    assert tally.outcomes == {"completed": 2, "refused": 2, "duplicate": 1, "failed": 1}
    assert tally.trained == 3  # refused and duplicate trials do not count towards the target
    assert tally.running == {6, 7}
    volume = hypervolume([(1e6, 0.5), (2e6, 0.75)], OBJECTIVES)
    line = f"running 2 · failed 1 · refused 3 · best 0.7500 · front 2 · hypervolume {volume:.4f}"
    assert tally.line() == line


def test_line_before_a_trial_has_ended() -> None:
    assert SearchTally().line() == "running 0 · failed 0 · refused 0"
    assert tally_of(started(), TrialStarted(0)).line() == "running 1 · failed 0 · refused 0"


def test_dominated_trials_are_not_on_the_front() -> None:
    tally = tally_of(started(), *completed(0, 1e6, 0.75), *completed(1, 2e6, 0.5))
    assert "best 0.7500 · front 1 ·" in tally.line()


def test_paused_trials_go_on_or_are_stopped() -> None:
    first, second = Paused(0, Measured(), trained(0.4), epoch=3), Paused(1, Measured(), trained(0.3), epoch=3)
    events = [started(pauses=True), *ended(0, first), *ended(1, second)]
    tally = tally_of(*events)
    assert (tally.paused, tally.running, tally.trained) == ({0, 1}, set(), 0)
    assert tally.line() == "running 0 · failed 0 · refused 0 · paused 2 · stopped 0"
    for event in (*completed(0, 1e6, 0.5), TrialRecorded(1, Stopped(3))):
        tally.notify(event)
    assert (tally.paused, tally.trained) == (set(), 2)
    assert tally.line().startswith("running 0 · failed 0 · refused 0 · paused 0 · stopped 1 · best 0.5000 · front 1 ·")


def test_resumed_search_counts_the_earlier_trials() -> None:
    tally = tally_of(started(values=[(1e6, 0.9)], counts={"completed": 1, "failed": 1, "duplicate": 2}))
    assert tally.trained == 2
    assert tally.line().startswith("running 0 · failed 1 · refused 2 · best 0.9000 · front 1 ·")


def test_resumed_search_counts_the_trials_that_pause() -> None:
    tally = tally_of(started(pauses=True, paused=[1, 3, 4]), TrialStarted(3))
    assert tally.line() == "running 1 · failed 0 · refused 0 · paused 2 · stopped 0"


def test_time_left_is_by_the_pace_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("nas.terminal.progress.time", SimpleNamespace(monotonic=lambda: now_s))
    tally = tally_of(started(target=10, counts={"completed": 4}))
    assert tally.left_s is None
    now_s = 130.0
    for event in (*completed(4, 1e6, 0.5), *ended(5, Failed("ValueError")), TrialRecorded(6, Duplicate(0))):
        tally.notify(event)
    assert tally.left_s == 15.0 * 4  # 2 trials in 30 s; 4 of 10 are left
    for number in range(7, 20):
        tally.notify(TrialRecorded(number, Failed("ValueError")))
    assert tally.left_s == 0.0


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    """A console of 100 columns, and what it has written."""
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=100, color_system=None, legacy_windows=False), file


def show_search(display: TerminalDisplay) -> None:
    """Everything that a search shows."""
    with display.step("decoding images") as progress:
        if progress is not None:
            progress(5, 10)
    display.warn("2 images [of 10] were left out")
    with display.trials() as observer:
        for event in (started(target=3), *completed(0, 1e6, 0.5), TrialStarted(1)):
            observer.notify(event)
    with display.counter("training", total=4, done=1) as advance:
        advance()
        advance(2, weight=2.0)


def test_what_is_no_terminal_gets_warnings_and_no_escape_sequences() -> None:
    shown, file = console(terminal=False)
    show_search(TerminalDisplay(shown))
    assert file.getvalue() == "nas: warning: 2 images [of 10] were left out\n"


def test_a_terminal_shows_progress() -> None:
    shown, file = console(terminal=True)
    show_search(TerminalDisplay(shown))
    text = file.getvalue()
    assert ESCAPE in text
    for part in ("decoding images", "5/10", "1/3", "running 1 · failed 0 · refused 0 · best 0.5000 · front 1", "4/4"):
        assert part in text


def test_observer_of_what_is_no_terminal_counts_too() -> None:
    with TerminalDisplay(console(terminal=False)[0]).trials() as observer:
        for event in (started(), *completed(0, 1e6, 0.5)):
            observer.notify(event)
    assert isinstance(observer, SearchTally)
    assert observer.trained == 1
