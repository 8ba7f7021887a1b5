"""Ask and tell without workers: limits, duplicates, interrupted trials, exhaustion, rungs, on real Optuna studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas import objectives
from nas.driver.ask_tell import AskTell
from nas.driver.proposal import Finished, Proposal, Wait
from nas.driver.rungs.promotion import Halving
from nas.sampler import ParetoSampler
from nas.study.database.optuna_adapter import open_trial
from nas.study.database.storage import create_study, open_study
from nas.study.events import TrialRecorded
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.limits import satisfies_limits
from nas.study.outcomes.outcome_parts import Measured
from nas.study.outcomes.records import Completed, Duplicate, Failed, MachineFailure, Paused, Refused, Stopped
from nas.study.outcomes.worker_tasks import EarlierSegments
from nas.study.trials import is_trained, outcome_name, seed_of
from search_space import cost

DIED = MachineFailure("the worker died", is_certain=False)

REFUSED = Refused("limit images_per_s: 3 < 5", 1, Measured({"images_per_s": 3.0}))


class EndedTrials:
    """An observer that stores the events of ended trials."""

    def __init__(self) -> None:
        self.ended: list[TrialRecorded] = []

    def notify(self, event: object) -> None:
        """Store `event` if a trial has ended."""
        if isinstance(event, TrialRecorded):
            self.ended.append(event)


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials()]


def next_proposal(ask_tell: AskTell) -> Proposal:
    proposal = ask_tell.propose()
    assert isinstance(proposal, Proposal)
    return proposal


def test_small_space_is_searched_to_the_end_and_no_architecture_twice(driver: Any) -> None:
    study, events = driver.study(), EndedTrials()
    ask_tell = driver.ask_tell(study, observers=[events])
    ids = []
    while isinstance(proposal := ask_tell.propose(), Proposal):
        ids.append(proposal.architecture.id)
        ask_tell.record(proposal.number, driver.completed(proposal))
    assert proposal == Finished()
    assert driver.space.size == 24
    assert len(ids) == len(set(ids)) == 24
    assert set(ids) == {architecture.id for architecture in driver.space}
    duplicates = [trial for trial in study.get_trials() if not is_trained(trial)]
    assert duplicates
    for trial in duplicates:  # failed, not pruned: samplers learn from a pruned trial that it is bad
        assert trial.state == TrialState.FAIL
        assert outcome_name(trial) == "duplicate"
        assert trial.user_attrs["refused"].startswith("duplicate of trial")
    outcomes = {event.number: event.outcome for event in events.ended}
    assert {number for number, outcome in outcomes.items() if isinstance(outcome, Duplicate)} == {
        trial.number for trial in duplicates
    }
    assert len(outcomes) == len(study.get_trials())


def test_running_architectures_are_not_proposed_again(driver: Any) -> None:
    ids = [proposal.architecture.id for proposal in driver.proposals(driver.ask_tell(driver.study()))]
    assert len(ids) == len(set(ids)) == 24


def test_target_counts_running_and_failed_trials_but_not_refused_ones(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(), target=3, limits={"images_per_s": 5})
    first, second, third = (next_proposal(ask_tell) for _ in range(3))
    assert ask_tell.propose() == Wait()  # a trial that runs may still be refused
    ask_tell.record(first.number, driver.completed(first))
    ask_tell.record(second.number, Failed("MemoryError"))
    assert ask_tell.propose() == Wait()
    ask_tell.record(third.number, REFUSED)
    assert ask_tell.state.trained == 2
    assert isinstance(ask_tell.propose(), Proposal)  # the refused trial was not trained


def test_without_measured_limits_the_target_ends_the_search_at_once(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(), target=1)
    next_proposal(ask_tell)
    assert ask_tell.propose() == Finished()


def test_costs_and_values_are_stored_as_optuna_users_expect(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    proposal = next_proposal(ask_tell)
    ask_tell.record(proposal.number, driver.completed(proposal, 0.75, curve=[{"epoch": 1}]))
    trial = study.get_trials()[0]
    costs = cost(proposal.architecture)
    assert trial.values == [0.75, costs.macs, 100.0]
    assert trial.user_attrs["architecture"] == proposal.architecture.to_dict()
    assert trial.user_attrs["id"] == proposal.architecture.id
    assert (trial.user_attrs["macs"], trial.user_attrs["params"]) == (costs.macs, costs.params)
    assert trial.user_attrs["activation_bytes"] == costs.activation_bytes > 0
    assert trial.user_attrs["curve"] == [{"epoch": 1}]
    assert trial.user_attrs["outcome"] == "completed"
    assert "accuracy" not in trial.user_attrs


@pytest.mark.parametrize("name", ["macs", "activation_bytes"])
def test_over_limit_candidates_are_refused_before_a_worker_sees_them(driver: Any, name: str) -> None:
    study = driver.study()
    limit = sorted(getattr(cost(architecture), name) for architecture in driver.space)[7]
    proposals = driver.proposals(driver.ask_tell(study, limits={name: limit}))
    allowed = {a.id for a in driver.space if getattr(cost(a), name) <= limit}
    assert {proposal.architecture.id for proposal in proposals} == allowed
    refused = [trial for trial in study.get_trials() if outcome_name(trial) == "refused"]
    assert refused
    for trial in refused:
        assert trial.state == TrialState.PRUNED
        assert trial.user_attrs["refused"].startswith(f"limit {name}: ")
        assert trial.constraints[name] == trial.user_attrs[name] - limit > 0
    assert all(satisfies_limits(proposal.architecture, {name: limit}) for proposal in proposals)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_values_that_are_not_finite_fail_the_trial_and_keep_its_curve(driver: Any, value: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    proposal = next_proposal(ask_tell)
    ask_tell.record(proposal.number, driver.completed(proposal, value, curve=[{"epoch": 1}]))
    (trial,) = study.get_trials()
    assert trial.state == TrialState.FAIL
    assert "not finite" in trial.user_attrs["failure"]
    assert trial.user_attrs["curve"] == [{"epoch": 1}]


def test_dead_worker_fails_its_trial_and_the_architecture_is_not_tried_again(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    proposal, other = next_proposal(ask_tell), next_proposal(ask_tell)
    ask_tell.record(proposal.number, DIED)
    assert study.get_trials()[0].state == TrialState.RUNNING  # the machine may be at fault
    ask_tell.record(other.number, driver.completed(other))
    assert study.get_trials()[0].state == TrialState.FAIL
    assert study.get_trials()[0].user_attrs["failure"] == "the worker died"
    rest = [other.architecture.id for other in driver.proposals(ask_tell)]
    assert proposal.architecture.id not in rest
    assert len(rest) == 22


def test_the_traceback_of_a_failure_is_kept_in_a_file_that_the_failure_names(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    proposal = next_proposal(ask_tell)
    ask_tell.record(proposal.number, Failed("ValueError: bad", "Traceback ...\nValueError: bad\n", proposal.seed, 1.5))
    (trial,) = study.get_trials()
    assert trial.user_attrs["failure"] == "ValueError: bad (see trials/00000/error.txt)"
    assert (driver.folder / "00000" / "error.txt").read_text() == "Traceback ...\nValueError: bad\n"
    assert (trial.user_attrs["seed"], trial.user_attrs["wall_s"]) == (proposal.seed, 1.5)
    assert "traceback" not in trial.user_attrs


def test_a_traceback_with_a_path_that_is_no_utf_8_is_kept(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study())
    ask_tell.record(next_proposal(ask_tell).number, Failed("ValueError: bad", 'File "/caf\udce9/mixer.py", line 1\n'))
    assert (driver.folder / "00000" / "error.txt").read_text() == 'File "/caf\\udce9/mixer.py", line 1\n'


def test_next_driver_adopts_running_trials_first(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(stored=True), target=4)
    done, first, second = (next_proposal(ask_tell) for _ in range(3))
    ask_tell.record(done.number, driver.completed(done))
    again = open_study(driver.folder)
    assert states(again) == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    successor = driver.ask_tell(again, target=4)
    assert [next_proposal(successor), next_proposal(successor)] == [first, second]
    fresh = next_proposal(successor)
    assert fresh.number > second.number
    assert fresh.architecture.id not in {p.architecture.id for p in (done, first, second)}
    assert successor.propose() == Finished()


def test_trial_that_was_interrupted_before_its_architecture_was_written_is_completed(driver: Any) -> None:
    study = driver.study(stored=True)
    trial = study.ask()
    trial.suggest_categorical("stem.patch", [2, 4])  # and then the driver is killed
    successor = driver.ask_tell(open_study(driver.folder))
    proposal = next_proposal(successor)
    assert proposal.number == 0
    assert proposal.architecture.stem.patch == trial.params["stem.patch"]
    successor.record(0, driver.completed(proposal))
    assert states(open_study(driver.folder)) == [TrialState.COMPLETE]


def test_interrupted_trial_whose_architecture_was_proposed_meanwhile_is_a_duplicate(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(stored=True))
    proposal = next_proposal(ask_tell)
    ask_tell.record(proposal.number, driver.completed(proposal))
    study = open_study(driver.folder)
    study.enqueue_trial(dict(driver.space.encode(proposal.architecture)))
    twin = study.ask()
    driver.space.suggest(twin)
    following = next_proposal(driver.ask_tell(open_study(driver.folder)))
    assert following.architecture.id != proposal.architecture.id
    assert open_study(driver.folder).get_trials()[twin.number].user_attrs["refused"] == "duplicate of trial 0"


def test_seeds_depend_on_study_and_architecture_only() -> None:
    assert seed_of(0, "abc") == seed_of(0, "abc") == 3344841403
    assert len({seed_of(s, i) for s in range(20) for i in ("abc", "abd")}) == 40


def test_measured_limit_that_every_network_violates_ends_the_search(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.driver.propose.MAX_REFUSALS_BY_WORKERS", 5)
    ask_tell = driver.ask_tell(driver.study(), limits={"images_per_s": 5})
    for _ in range(5):
        ask_tell.record(next_proposal(ask_tell).number, REFUSED)
    assert ask_tell.propose() == Finished()


@pytest.mark.parametrize("left", ["refused", "failure"])
def test_reason_left_by_a_killed_driver_is_cleared(driver: Any, left: str) -> None:
    study = driver.study(stored=True)
    proposal = next_proposal(driver.ask_tell(study))
    open_trial(study, study.get_trials()[0]).set_user_attr(left, "limit images_per_s: 1 < 2")
    ask_tell = driver.ask_tell(open_study(driver.folder))
    again = next_proposal(ask_tell)
    assert again == proposal
    ask_tell.record(again.number, driver.completed(again))
    (trial,) = open_study(driver.folder).get_trials()
    assert trial.state == TrialState.COMPLETE
    assert trial.user_attrs[left] is None


HALVING = Halving((1, 3, 9), 3)


def segment(driver: Any, proposal: Proposal) -> Completed:
    """The outcome of a segment: accuracy rises with parameters and epochs."""
    until = proposal.until or 9
    accuracy = 1 - 1 / (cost(proposal.architecture).params * until) ** 0.2
    outcome: Completed = driver.completed(proposal, accuracy, curve=[{"epoch": epoch + 1} for epoch in range(until)])
    return outcome if until == 9 else Paused(**vars(outcome), epoch=until)


def run_halving(driver: Any, target: int = 18, workers: int = 2, killed_after: int | None = None) -> list[Proposal]:
    """Run the stored study with rungs to its end, or until `killed_after` segments; the segments proposed."""
    study = open_study(driver.folder)
    study.sampler = ParetoSampler(driver.space, {1: lambda a: cost(a).macs}, budget=9, seed=0)
    ask_tell = driver.ask_tell(study, target, promotion_rule=HALVING)
    segments: list[Proposal] = []
    running: list[Proposal] = []
    while True:
        while len(running) < workers and isinstance(proposal := ask_tell.propose(), Proposal):
            running.append(proposal)
            segments.append(proposal)
        if not running or (killed_after is not None and len(segments) >= killed_after):
            if not running:
                assert proposal == Finished()
            return segments
        proposal = running.pop(0)
        ask_tell.record(proposal.number, segment(driver, proposal))


def test_a_third_is_promoted_at_each_rung_and_the_others_are_stopped_with_their_curves(driver: Any) -> None:
    driver.study(stored=True)
    segments = run_halving(driver)
    study = open_study(driver.folder)
    trained = [trial for trial in study.get_trials() if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 18
    counts = {rung: sum(proposal.until == rung for proposal in segments) for rung in HALVING.rungs}
    assert counts[1] == 18
    # A third of each rung, asynchronously; at the end ranks decide, whichever were promoted before.
    assert 6 <= counts[3] <= 10
    assert 2 <= counts[9] <= 6
    assert len({(proposal.number, proposal.until) for proposal in segments}) == len(segments)
    complete = [trial for trial in trained if trial.state == TrialState.COMPLETE]
    assert len(complete) == counts[9]
    for trial in trained:
        reached = [epoch for epoch in HALVING.rungs if (trial.number, epoch) in {(p.number, p.until) for p in segments}]
        assert list(trial.intermediate_values) == [epoch for epoch in reached if epoch < 9]
        assert len(trial.user_attrs["curve"]) == reached[-1]
        assert trial.state == (TrialState.COMPLETE if reached[-1] == 9 else TrialState.PRUNED)
        assert outcome_name(trial) == ("completed" if reached[-1] == 9 else "stopped")
    assert {trial.number for trial in study.best_trials} <= {trial.number for trial in complete}
    assert run_halving(driver) == []


@pytest.mark.parametrize("names", [("balanced_accuracy", "macs"), ("macro_f1", "accuracy", "macs")])
def test_rungs_of_a_study_that_trains_for_another_objective_are_replayed(
    driver: Any, tmp_path: Path, names: tuple[str, ...]
) -> None:
    chosen = [objectives.get(name) for name in names]
    study = create_study(tmp_path, "other", [objective.direction for objective in chosen], {})

    def ask_tell() -> AskTell:
        opened = open_study(tmp_path)
        opened.sampler = optuna.samplers.RandomSampler(seed=0)
        return AskTell(opened, driver.space, chosen, 9, lambda number: tmp_path / str(number), promotion_rule=HALVING)

    first = ask_tell()
    expected: dict[int, dict[int, float]] = {}
    for count in range(8):
        proposal = next_proposal(first)
        number, until = proposal.number, proposal.until or 9
        curve = [{"epoch": epoch, "val_accuracy": 0.9 - 0.1 * number + 0.01 * epoch} for epoch in range(1, until + 1)]
        scores = {names[0]: 0.1 * count, "accuracy": curve[-1]["val_accuracy"]}
        outcome = segment(driver, proposal)
        first.record(number, replace(outcome, trained=replace(outcome.trained, values=scores, curve=curve)))
        expected.setdefault(number, {}).update({until: scores[names[0]]} if until < 9 else {})
    trials = [trial for trial in study.trials if trial.number in expected]  # others are duplicates
    assert {trial.number: trial.intermediate_values for trial in trials} == expected
    assert max(map(len, expected.values())) > 1  # some were promoted
    assert first.state.ladder is not None
    again = ask_tell().state.ladder
    assert again is not None
    assert (again.reached, again.paused) == (first.state.ladder.reached, first.state.ladder.paused)


@pytest.mark.parametrize("killed_after", [1, 5, 12, 19, 25, 28])
def test_killed_driver_with_rungs_loses_no_segment_and_repeats_only_running_ones(
    driver: Any, killed_after: int
) -> None:
    driver.study(stored=True)
    before = run_halving(driver, killed_after=killed_after)
    after = run_halving(driver)
    trials = [trial for trial in open_study(driver.folder).get_trials() if is_trained(trial)]
    assert len(trials) == len({trial.user_attrs["id"] for trial in trials}) == 18
    assert TrialState.RUNNING not in states(open_study(driver.folder))
    again = [(p.number, p.until) for p in after if (p.number, p.until) in {(q.number, q.until) for q in before}]
    assert len(again) == len(set(again)) <= 2  # those of the two workers
    assert again == [(p.number, p.until) for p in after[: len(again)]]


def test_next_segment_gets_the_measurements_of_the_first(driver: Any) -> None:
    driver.study(stored=True)
    segments = run_halving(driver)
    assert all(proposal.earlier == EarlierSegments() for proposal in segments if proposal.until == 1)
    carried = EarlierSegments({"images_per_s": 100.0}, overhead_s=0.1, wall_s=2.0)
    assert all(proposal.earlier == carried for proposal in segments if (proposal.until or 0) > 1)


def test_failure_in_a_later_segment_fails_the_trial_and_the_others_are_stopped(driver: Any) -> None:
    study, events = driver.study(), EndedTrials()
    ask_tell = driver.ask_tell(study, 3, promotion_rule=HALVING, observers=[events])
    for _ in range(3):
        proposal = next_proposal(ask_tell)
        ask_tell.record(proposal.number, segment(driver, proposal))
    assert all(isinstance(event.outcome, Paused) for event in events.ended)
    promoted = next_proposal(ask_tell)
    assert promoted.until == 3
    ask_tell.record(promoted.number, DIED)
    assert ask_tell.propose() == Finished()
    assert sorted(states(study), key=str) == [TrialState.FAIL, TrialState.PRUNED, TrialState.PRUNED]
    assert ask_tell.state.trained == 3
    assert [event.outcome for event in events.ended[-2:]] == [Stopped(1), Stopped(1)]


def test_a_stopped_trial_leaves_neither_checkpoint_nor_weights(driver: Any) -> None:
    """A trial that pauses has weights if the files are those of a later state of the study than the database."""
    study = driver.study()
    ask_tell = driver.ask_tell(study, 3, promotion_rule=HALVING)
    while isinstance(proposal := ask_tell.propose(), Proposal):
        folder: Path = ask_tell.folder_of(proposal.number)
        folder.mkdir(exist_ok=True)
        for name in (CHECKPOINT, WEIGHTS):
            (folder / name).touch()
        ask_tell.record(proposal.number, segment(driver, proposal))
    assert set(states(study)) == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.get_trials():
        left = [path.name for path in ask_tell.folder_of(trial.number).iterdir()]
        assert left == ([WEIGHTS] if trial.state == TrialState.COMPLETE else [])


def test_checkpoints_are_removed_when_a_trial_has_ended_and_kept_while_it_pauses(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(), 1, promotion_rule=HALVING)
    proposal = next_proposal(ask_tell)
    checkpoint: Path = ask_tell.folder_of(proposal.number) / "checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    ask_tell.record(proposal.number, segment(driver, proposal))
    assert checkpoint.exists()
    for _ in range(2):  # alone at its rung it is promoted to the end
        proposal = next_proposal(ask_tell)
        ask_tell.record(proposal.number, segment(driver, proposal))
    assert not checkpoint.exists()
    assert ask_tell.propose() == Finished()


def test_outcomes_of_a_worker_reach_observers_with_values(driver: Any) -> None:
    events = EndedTrials()
    ask_tell = driver.ask_tell(driver.study(), 2, observers=[events])
    first, second = next_proposal(ask_tell), next_proposal(ask_tell)
    outcome = driver.completed(first, 0.25)
    ask_tell.record(first.number, outcome)
    ask_tell.record(second.number, replace(REFUSED, seed=second.seed))
    done, refused = (event for event in events.ended if not isinstance(event.outcome, Duplicate))
    assert done == TrialRecorded(first.number, outcome, (0.25, float(cost(first.architecture).macs), 100.0))
    assert (refused.number, refused.values) == (second.number, ())
