"""What a driver tells its observers of the trials that an earlier driver has left."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nas.driver.proposal import Proposal
from nas.driver.rungs.promotion import Halving
from nas.study.database.storage import open_study
from nas.study.events import Event, SearchStarted
from nas.study.outcomes.records import Failed, Paused
from nas.terminal.progress import SearchTally

HALVING = Halving((1, 3, 9), 3)


class Events:
    """An observer that keeps every event."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def notify(self, event: Event) -> None:
        self.all.append(event)


def paused(driver: Any, proposal: Proposal) -> Paused:
    return Paused(**vars(driver.completed(proposal, 0.1 * (1 + proposal.number))), epoch=1)


def test_trials_that_pause_failed_and_run_when_a_search_goes_on(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(stored=True), 20, promotion_rule=HALVING)
    first, second, third, running = (ask_tell.propose() for _ in range(4))
    for proposal in (first, second):
        ask_tell.record(proposal.number, paused(driver, proposal))
    ask_tell.record(third.number, Failed("ValueError: bad"))

    events, tally = Events(), SearchTally()
    successor = driver.ask_tell(open_study(driver.folder), 20, promotion_rule=HALVING, observers=[events, tally])
    successor.start(workers=2)
    (started,) = events.all
    assert isinstance(started, SearchStarted)
    duplicates = running.number - 3  # random draws, none of which counts
    assert (started.pauses, tuple(started.paused)) == (True, (first.number, second.number))
    assert Counter(started.counts) == Counter(failed=1, duplicate=duplicates)
    assert tally.line() == f"running 0 · failed 1 · refused {duplicates} · paused 2 · stopped 0"
    again = successor.propose()
    successor.start_trial(again.number)
    assert again.number == running.number
    assert tally.line() == f"running 1 · failed 1 · refused {duplicates} · paused 2 · stopped 0"


def test_nothing_pauses_without_rungs(driver: Any) -> None:
    events = Events()
    driver.ask_tell(driver.study(), 20, observers=[events]).start(workers=2)
    assert events.all == [SearchStarted(driver.objectives, 20, 2, [], {}, pauses=False)]
