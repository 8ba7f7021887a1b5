"""Failed trials are repeated: once each, with the same seed and their checkpoint, and counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas import Study, StudyConfig
from nas.driver.proposal import Finished, Proposal
from nas.driver.run import run_search
from nas.driver.rungs.promotion import Halving
from nas.driver.start.retry import enqueue_failed
from nas.errors import UsageError
from nas.study.outcomes.records import Failed, Paused
from nas.study.stored import StoredStudy
from nas.study.trials import RETRIED_FROM, count_trained, outcome_name


def run(driver: Any, target: int, failing: set[int], **options: Any) -> list[Proposal]:
    """Run the stored study; trials whose numbers are `failing` fail. Returns the proposals."""
    study = StoredStudy.open(driver.folder)
    study.optuna.sampler = optuna.samplers.RandomSampler(seed=1)  # its first trials differ
    ask_tell = driver.ask_tell(study.optuna, target, **options)
    proposals = []
    while isinstance(proposal := ask_tell.propose(), Proposal):
        proposals.append(proposal)
        outcome = Failed("loss not finite") if proposal.number in failing else driver.completed(proposal)
        ask_tell.record(proposal.number, outcome)
    assert proposal == Finished()
    return proposals


def test_failed_trials_are_repeated_once_and_counted_once(driver: Any) -> None:
    driver.study(stored=True)
    first = {proposal.number: proposal for proposal in run(driver, 4, {1, 3})}
    study = StoredStudy.open(driver.folder)
    checkpoint: Path = study.trial_folder(1) / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("epoch 3")
    assert study.is_complete(4)

    assert enqueue_failed(study) == [1, 3]
    assert enqueue_failed(study) == []  # they wait for it
    assert not study.is_complete(4)
    repeats = [trial for trial in study.trials if RETRIED_FROM in trial.user_attrs]
    moved = study.trial_folder(repeats[0].number) / "checkpoint.pt"
    assert moved.read_text() == "epoch 3"
    assert not checkpoint.exists()
    repeated = run(driver, 4, {repeats[1].number})
    assert [proposal.number for proposal in repeated] == [trial.number for trial in repeats]
    for proposal, number in zip(repeated, (1, 3), strict=True):
        assert proposal.architecture == first[number].architecture
        assert proposal.seed == first[number].seed
    study = StoredStudy.open(driver.folder)
    assert study.is_complete(4)
    assert count_trained(study.trials) == 4
    assert study.trials[1].user_attrs["failure"] == "loss not finite"  # the history stays
    assert [trial.user_attrs.get(RETRIED_FROM) for trial in study.trials if RETRIED_FROM in trial.user_attrs] == [1, 3]

    assert enqueue_failed(study) == [repeats[1].number]  # the one whose repetition failed
    (last,) = run(driver, 4, set())
    assert last.architecture == first[3].architecture
    assert count_trained(StoredStudy.open(driver.folder).trials) == 4
    assert enqueue_failed(StoredStudy.open(driver.folder)) == []


def test_failed_trials_are_repeated_even_if_fewer_trials_are_asked_for(driver: Any) -> None:
    driver.study(stored=True)
    run(driver, 5, {1, 3})
    enqueue_failed(StoredStudy.open(driver.folder))
    assert len(run(driver, 2, set())) == 2
    assert count_trained(StoredStudy.open(driver.folder).trials) == 5


def test_an_interrupted_repetition_is_continued(driver: Any) -> None:
    driver.study(stored=True)
    (failed,) = run(driver, 1, {0})
    enqueue_failed(StoredStudy.open(driver.folder))
    ask_tell = driver.ask_tell(StoredStudy.open(driver.folder).optuna, 1)
    started = ask_tell.propose()  # and then the driver is killed
    assert isinstance(started, Proposal)
    assert started.architecture == failed.architecture
    assert run(driver, 1, set()) == [started]


@pytest.mark.parametrize("fails", [True, False])
def test_repetitions_climb_the_rungs_from_the_start(driver: Any, fails: bool) -> None:
    driver.study(stored=True)
    halving = Halving((1, 9), 3)
    ask_tell = driver.ask_tell(StoredStudy.open(driver.folder).optuna, 3, promotion_rule=halving)
    for _ in range(3):
        proposal = ask_tell.propose()
        outcome = Paused(**vars(driver.completed(proposal)), epoch=1) if fails else Failed("worker died")
        ask_tell.record(proposal.number, outcome)
    while isinstance(proposal := ask_tell.propose(), Proposal):
        ask_tell.record(proposal.number, Failed("worker died"))
    study = StoredStudy.open(driver.folder)
    failed = [trial.number for trial in study.trials if outcome_name(trial) == "failed"]
    assert enqueue_failed(study) == failed
    again = driver.ask_tell(StoredStudy.open(driver.folder).optuna, 3, promotion_rule=halving)
    while isinstance(proposal := again.propose(), Proposal):
        outcome = driver.completed(proposal)
        again.record(proposal.number, outcome if proposal.until == 9 else Paused(**vars(outcome), epoch=1))
    trials = StoredStudy.open(driver.folder).trials
    assert count_trained(trials) == 3
    assert not any(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials)
    assert any(trial.state == TrialState.COMPLETE for trial in trials)


def test_nothing_is_repeated_where_the_search_cannot_start(tmp_path: Path) -> None:
    space = {"stem": {"patch": 4}, "stages": [{"mixer": "pool", "width": [8, 16], "depth": 1}]}
    settings = {"data": {"source": "digits", "limit": 60}, "space": space, "objectives": ["accuracy", "macs"]}
    study = Study.open_or_create(tmp_path, StudyConfig.model_validate(settings))
    stored = StoredStudy.open(tmp_path)
    trial = stored.optuna.ask()
    trial.set_user_attr("outcome", "failed")
    stored.optuna.tell(trial, state=TrialState.FAIL)
    before = len(stored.trials)
    asked = StudyConfig.model_validate({**settings, "resources": {"executor": "local", "cpus_per_trial": 10**6}})
    with pytest.raises(UsageError, match="CPUs, found 1000000"):
        run_search(asked, study.folder, retry_failed=True)
    assert len(StoredStudy.open(tmp_path).trials) == before
