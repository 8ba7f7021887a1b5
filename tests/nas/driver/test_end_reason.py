"""Why a search ends before it has its number of trials."""

from __future__ import annotations

from typing import Any

import pytest

from nas.driver import propose
from nas.driver.proposal import Finished, Proposal
from nas.objectives.costs import cost_value
from nas.study.outcomes.outcome_parts import Measured
from nas.study.outcomes.records import Refused
from nas.study.stored import StoredStudy


def run(driver: Any, ask_tell: Any) -> str:
    """Train until nothing more is proposed; the reason that the search gives."""
    while isinstance(proposal := ask_tell.propose(), Proposal):
        assert ask_tell.proposer.end_reason == ""
        ask_tell.record(proposal.number, driver.completed(proposal))
    assert proposal == Finished()
    return str(ask_tell.proposer.end_reason)


def test_a_search_that_has_its_trials_gives_no_reason(driver: Any) -> None:
    assert run(driver, driver.ask_tell(driver.study(), target=5)) == ""
    assert run(driver, driver.ask_tell(driver.study(), target=24)) == ""


def test_every_architecture_was_tried(driver: Any) -> None:
    study = driver.study()
    assert run(driver, driver.ask_tell(study, target=25)) == "every architecture of the space was tried (24 in all)"
    assert run(driver, driver.ask_tell(study, target=30)) == "every architecture of the space was tried (24 in all)"


def test_no_further_architecture_is_within_the_limits(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    macs = sorted(cost_value("macs", architecture) for architecture in driver.space)
    limits = {"macs": macs[4]}
    reason = run(driver, driver.ask_tell(driver.study(), limits=limits))
    assert reason == "every architecture of the space that satisfies the limits on costs was tried"
    monkeypatch.setattr(propose, "MAX_RANDOM_DRAWS", 20)  # the space is too large to go through it
    reason = run(driver, driver.ask_tell(driver.study(), limits=limits))
    assert reason == "none of 20 random architectures was new and satisfied the limits on costs"


def test_the_workers_refuse_all(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propose, "MAX_REFUSALS_BY_WORKERS", 3)
    ask_tell = driver.ask_tell(driver.study(), limits={"images_per_s": 5})
    while isinstance(proposal := ask_tell.propose(), Proposal):
        ask_tell.record(proposal.number, Refused("limit images_per_s: 4 < 5", proposal.seed, Measured()))
    assert ask_tell.proposer.end_reason == "3 measured architectures in a row violated a limit"


def test_a_stored_study_keeps_the_reason_until_a_search_ends_otherwise(driver: Any) -> None:
    study = StoredStudy(driver.folder, driver.study(stored=True))
    assert study.end_reason == ""
    study.set_end_reason("every architecture of the space was tried (2 in all)")
    assert StoredStudy.open(driver.folder).end_reason == "every architecture of the space was tried (2 in all)"
    study.set_end_reason("")
    assert StoredStudy.open(driver.folder).end_reason == ""


def test_a_study_is_exhausted_when_every_architecture_was_tried_and_none_runs(driver: Any) -> None:
    study = driver.study(stored=True)
    study.set_user_attr("space_size", "24")
    ask_tell = driver.ask_tell(study)
    for _ in range(23):
        proposal = ask_tell.propose()
        ask_tell.record(proposal.number, driver.completed(proposal))
    last = ask_tell.propose()
    assert not StoredStudy.open(driver.folder).is_exhausted  # the last one runs
    ask_tell.record(last.number, driver.completed(last))
    assert StoredStudy.open(driver.folder).is_exhausted
