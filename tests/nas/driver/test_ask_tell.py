"""Ask and tell without workers: limits, duplicates, adoption, exhaustion, on real Optuna studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas import objectives
from nas.driver.ask_tell import Searcher
from nas.driver.halving import Halving
from nas.sampler import ParetoSampler
from nas.study.storage import create_study, open_study
from nas.study.trials import Proposal, is_trained, seed_of, within
from search_space import SearchSpace, cost

SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "stem": {"patch": [2, 4]},
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}],
    }
)  # 2 patches x 3 mixers x 2 depths x 2 widths = 24
OBJECTIVES = [objectives.get(name) for name in ("accuracy", "macs", "images_per_s")]
DIRECTIONS = [objective.direction for objective in OBJECTIVES]


def new_study(folder: Path | None = None) -> optuna.Study:
    if folder is not None:
        study = create_study(folder, "s", DIRECTIONS, {})
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        return study
    return optuna.create_study(directions=DIRECTIONS, sampler=optuna.samplers.RandomSampler(seed=0))


def searcher(study: optuna.Study, trials: int = 100, **limits: float) -> Searcher:
    return Searcher(study, SPACE, OBJECTIVES, trials, limits, seed=0)


def record(accuracy: float = 0.5, **changes: Any) -> dict[str, Any]:
    return {"accuracy": accuracy, "images_per_s": 100.0, "train_s": 1.0, "wall_s": 2.0} | changes


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials()]


def test_small_space_is_searched_to_the_end_and_no_architecture_twice() -> None:
    study = new_study()
    driver = searcher(study)
    ids = []
    while (proposal := driver.propose()) is not None:
        ids.append(proposal.architecture.id)
        driver.finish(proposal.number, record())
    assert SPACE.size == 24
    assert len(ids) == len(set(ids)) == 24
    assert set(ids) == {architecture.id for architecture in SPACE}
    others = [trial for trial in study.get_trials() if not is_trained(trial)]
    assert others
    for trial in others:  # failed, not pruned: samplers would take that for bad
        assert trial.state == TrialState.FAIL
        assert trial.user_attrs["refused"].startswith("duplicate of trial")


def test_proposals_in_flight_are_not_proposed_again() -> None:
    driver = searcher(new_study())
    open_ids = [proposal.architecture.id for proposal in iter(driver.propose, None)]
    assert len(open_ids) == len(set(open_ids)) == 24


def test_stops_at_the_number_of_trials_counting_those_in_flight_and_failed() -> None:
    study = new_study()
    driver = searcher(study, trials=3)
    first, second, third = driver.propose(), driver.propose(), driver.propose()
    assert None not in (first, second, third)
    assert driver.propose() is None
    driver.finish(first.number, record())
    driver.finish(second.number, {"failure": "MemoryError"})
    assert driver.propose() is None
    driver.finish(third.number, record(refused="limit images_per_s: 3 < 5"))
    assert driver.finished == 2
    assert driver.propose() is not None  # what was refused has not been trained


def test_costs_and_values_are_stored_as_optuna_users_expect() -> None:
    study = new_study()
    driver = searcher(study)
    proposal = driver.propose()
    assert proposal is not None
    driver.finish(proposal.number, record(0.75, curve=[{"epoch": 1}]))
    trial = study.get_trials()[0]
    known = cost(proposal.architecture)
    assert trial.values == [0.75, known.macs, 100.0]
    assert trial.user_attrs["architecture"] == proposal.architecture.to_dict()
    assert trial.user_attrs["id"] == proposal.architecture.id
    assert (trial.user_attrs["macs"], trial.user_attrs["params"]) == (known.macs, known.params)
    assert trial.user_attrs["activation_bytes"] == known.activation_bytes > 0
    assert trial.user_attrs["curve"] == [{"epoch": 1}]


@pytest.mark.parametrize("name", ["macs", "activation_bytes"])
def test_over_limit_candidates_are_refused_before_a_worker_sees_them(name: str) -> None:
    study = new_study()
    limit = sorted(getattr(cost(architecture), name) for architecture in SPACE)[7]
    driver = searcher(study, **{name: limit})
    proposed = list(iter(driver.propose, None))
    assert {p.architecture.id for p in proposed} == {a.id for a in SPACE if getattr(cost(a), name) <= limit}
    refused = [
        trial for trial in study.get_trials() if str(trial.user_attrs.get("refused")).startswith(f"limit {name}")
    ]
    assert refused
    for trial in refused:
        assert trial.state == TrialState.PRUNED
        assert trial.constraints[name] == trial.user_attrs[name] - limit > 0
    assert all(within(p.architecture, {name: limit}) for p in proposed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_values_that_are_not_finite_fail_the_trial(value: Any) -> None:
    study = new_study()
    driver = searcher(study)
    proposal = driver.propose()
    assert proposal is not None
    ended = driver.finish(proposal.number, record(value))
    assert ended.state == TrialState.FAIL
    trial = study.get_trials()[0]
    assert trial.state == TrialState.FAIL
    assert "not finite" in trial.user_attrs["failure"]


def test_dead_worker_fails_its_trial_and_the_architecture_is_not_tried_again() -> None:
    study = new_study()
    driver = searcher(study)
    proposal = driver.propose()
    assert proposal is not None
    driver.finish(proposal.number, None)
    assert study.get_trials()[0].user_attrs["failure"] == "the worker died"
    rest = [p.architecture.id for p in iter(driver.propose, None)]
    assert proposal.architecture.id not in rest
    assert len(rest) == 23


def test_next_driver_takes_up_what_was_running_first(tmp_path: Path) -> None:
    driver = searcher(new_study(tmp_path), trials=4)
    done, first, second = driver.propose(), driver.propose(), driver.propose()
    assert None not in (done, first, second)
    driver.finish(done.number, record())
    again = open_study(tmp_path)
    assert states(again) == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    heir = searcher(again, trials=4)
    adopted = [heir.propose(), heir.propose()]
    assert [(p.number, p.architecture.id, p.seed) for p in adopted if p] == [
        (p.number, p.architecture.id, p.seed) for p in (first, second)
    ]
    fresh = heir.propose()
    assert fresh is not None
    assert fresh.number > max(p.number for p in (done, first, second) if p)
    assert fresh.architecture.id not in {p.architecture.id for p in (done, first, second) if p}
    assert heir.propose() is None


def test_trial_cut_off_before_its_architecture_was_written_is_completed(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    trial = study.ask()
    trial.suggest_categorical("stem.patch", [2, 4])  # and then the driver is killed
    heir = searcher(open_study(tmp_path))
    proposal = heir.propose()
    assert proposal is not None
    assert proposal.number == 0
    assert proposal.architecture.stem.patch == trial.params["stem.patch"]
    heir.finish(0, record())
    assert states(open_study(tmp_path)) == [TrialState.COMPLETE]


def test_adopted_trial_whose_architecture_is_known_by_now_is_refused(tmp_path: Path) -> None:
    driver = searcher(new_study(tmp_path))
    proposal = driver.propose()
    assert proposal is not None
    driver.finish(proposal.number, record())
    study = open_study(tmp_path)
    study.enqueue_trial(dict(SPACE.encode(proposal.architecture)))
    twin = study.ask()
    SPACE.suggest(twin)
    heir = searcher(open_study(tmp_path))
    after = heir.propose()
    assert after is not None
    assert after.architecture.id != proposal.architecture.id
    assert open_study(tmp_path).get_trials()[twin.number].user_attrs["refused"] == "duplicate of trial 0"


def test_seeds_depend_on_study_and_architecture_only() -> None:
    assert seed_of(0, "abc") == seed_of(0, "abc")
    assert len({seed_of(s, i) for s in range(20) for i in ("abc", "abd")}) == 40


def test_throughput_limit_that_all_break_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.driver.ask_tell.HOPELESS", 5)
    driver = searcher(new_study())
    for _ in range(5):
        proposal = driver.propose()
        assert proposal is not None
        driver.finish(proposal.number, {"refused": "limit images_per_s: 3 < 5"})
    assert driver.propose() is None


@pytest.mark.parametrize("left", ["refused", "failure"])
def test_reason_left_by_a_driver_that_was_killed_before_telling_is_forgotten(left: str) -> None:
    study = new_study()
    proposal = searcher(study).propose()
    assert proposal is not None
    trial = optuna.trial.Trial(study, study.get_trials()[proposal.number]._trial_id)
    trial.set_user_attr(left, "limit images_per_s: 1 < 2")
    driver = searcher(study)
    again = driver.propose()
    assert again == proposal
    driver.finish(again.number, record())
    found = study.get_trials()[again.number]
    assert found.state == TrialState.COMPLETE
    assert found.user_attrs[left] is None


HALVING = Halving((1, 3, 9), 3)


def leg(proposal: Proposal) -> dict[str, Any]:
    """What a worker finds: accuracy rises with parameters and epochs."""
    until = proposal.until or 9
    accuracy = 1 - 1 / (cost(proposal.architecture).params * until) ** 0.2
    found = record(accuracy, curve=[{"epoch": epoch + 1} for epoch in range(until)], overhead_s=0.1)
    return found if until == 9 else found | {"paused": until}


def halved(folder: Path, trials: int = 18, workers: int = 2, killed_after: int | None = None) -> list[Proposal]:
    """Run a study with rungs, from where it stands, to its end or until `killed_after` legs; the legs proposed."""
    study = open_study(folder)
    study.sampler = ParetoSampler(SPACE, {1: lambda a: cost(a).macs}, budget=9, seed=0)
    driver = Searcher(study, SPACE, OBJECTIVES, trials, {}, seed=0, halving=HALVING)
    legs: list[Proposal] = []
    running: list[Proposal] = []
    while True:
        while len(running) < workers and (proposal := driver.propose()) is not None:
            running.append(proposal)
            legs.append(proposal)
        if not running or (killed_after is not None and len(legs) >= killed_after):
            assert driver.waits == bool(running)
            return legs
        proposal = running.pop(0)
        driver.finish(proposal.number, leg(proposal))


def test_rungs_are_climbed_by_a_third_and_the_rest_is_stopped_with_its_curve(tmp_path: Path) -> None:
    new_study(tmp_path)
    legs = halved(tmp_path)
    study = open_study(tmp_path)
    trained = [trial for trial in study.get_trials() if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 18
    counts = {rung: sum(proposal.until == rung for proposal in legs) for rung in HALVING.rungs}
    assert counts[1] == 18
    # A third of each rung, asynchronously; at the end ranks decide, whoever went on before.
    assert 6 <= counts[3] <= 10
    assert 2 <= counts[9] <= 6
    assert len({(proposal.number, proposal.until) for proposal in legs}) == len(legs)
    whole = [trial for trial in trained if trial.state == TrialState.COMPLETE]
    assert len(whole) == counts[9]
    for trial in trained:
        reached = [epoch for epoch in HALVING.rungs if (trial.number, epoch) in {(p.number, p.until) for p in legs}]
        assert list(trial.intermediate_values) == [epoch for epoch in reached if epoch < 9]
        assert len(trial.user_attrs["curve"]) == reached[-1]
        assert trial.state == (TrialState.COMPLETE if reached[-1] == 9 else TrialState.PRUNED)
    assert {trial.number for trial in study.best_trials} <= {trial.number for trial in whole}
    assert halved(tmp_path) == []


@pytest.mark.parametrize("killed_after", [1, 5, 12, 19, 25, 28])
def test_killed_driver_with_rungs_loses_no_leg_and_repeats_only_what_ran(tmp_path: Path, killed_after: int) -> None:
    new_study(tmp_path)
    before = halved(tmp_path, killed_after=killed_after)
    after = halved(tmp_path)
    trials = [trial for trial in open_study(tmp_path).get_trials() if is_trained(trial)]
    assert len(trials) == len({trial.user_attrs["id"] for trial in trials}) == 18
    assert TrialState.RUNNING not in states(open_study(tmp_path))
    again = [(p.number, p.until) for p in after if (p.number, p.until) in {(q.number, q.until) for q in before}]
    assert len(again) == len(set(again)) <= 2  # what the two workers were at
    assert again == [(p.number, p.until) for p in after[: len(again)]]


def test_next_leg_brings_what_the_first_measured(tmp_path: Path) -> None:
    new_study(tmp_path)
    legs = halved(tmp_path)
    assert all(proposal.before == {} for proposal in legs if proposal.until == 1)
    assert all(
        proposal.before == {"images_per_s": 100.0, "overhead_s": 0.1} for proposal in legs if (proposal.until or 0) > 1
    )


def test_failure_in_a_later_leg_fails_the_trial(tmp_path: Path) -> None:
    study = new_study()
    driver = Searcher(study, SPACE, OBJECTIVES, 3, {}, seed=0, halving=HALVING)
    for _ in range(3):
        proposal = driver.propose()
        assert proposal is not None
        assert driver.finish(proposal.number, leg(proposal)).pauses
    promoted = driver.propose()
    assert promoted is not None
    assert promoted.until == 3
    assert driver.finish(promoted.number, None).state == TrialState.FAIL
    assert driver.propose() is None
    assert sorted(states(study), key=str) == [TrialState.FAIL, TrialState.PRUNED, TrialState.PRUNED]
    assert driver.finished == 3
