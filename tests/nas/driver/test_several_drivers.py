"""Several drivers on one study in PostgreSQL, interleaved at random in one process, some of which vanish."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.driver.ask_tell import AskTell
from nas.driver.checkpoints import FolderCheckpoints
from nas.driver.proposal import Finished, Proposal
from nas.driver.rungs.promotion import FrontPromotion, Halving, PromotionRule
from nas.driver.state import SearchState
from nas.study.database.driver_rows import read_drivers
from nas.study.database.leases import SharedLeases
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import ServerTransactions
from nas.study.database.trial_database import DatabaseTrials
from nas.study.events import TrialLost, TrialRecorded
from nas.study.outcomes.inheritance import INHERITED
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed, Paused
from nas.study.trials import count_trained, is_trained
from search_space import cost

HALVING = Halving((1, 3, 9), 3)
LEASE_S = 60.0


@dataclass
class Clock:
    """A clock that tests advance."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@dataclass
class Study:
    """A study that drivers share.

    Args:
        place: where it is.
        driver: the space and the objectives.
        clock: the clock of all drivers.
        target: number of trials to train.
        rule: the rungs; None: no training pauses.
    """

    place: StoragePlace
    driver: Any
    clock: Clock
    target: int
    rule: PromotionRule | None
    recorded: list[TrialRecorded] = field(default_factory=list)
    lost: list[TrialLost] = field(default_factory=list)

    def notify(self, event: object) -> None:
        """Store the events of all drivers."""
        if isinstance(event, TrialRecorded):
            self.recorded.append(event)
        elif isinstance(event, TrialLost):
            self.lost.append(event)

    def open(self) -> optuna.Study:
        """The Optuna study."""
        return open_server_study(self.place)

    def join(self) -> OneDriver:
        """A new driver."""
        study = self.open()
        leases = SharedLeases(ServerTransactions(self.place), LEASE_S, poll_s=0.0, clock=self.clock)
        leases.announce()
        study.sampler = optuna.samplers.RandomSampler(seed=leases.index)
        store = DatabaseTrials(study, leases.transactions, leases)
        options = {"store": store, "promotion_rule": self.rule, "observers": [self], "checkpoints": AllWeights(Path)}
        return OneDriver(leases, self.driver.ask_tell(study, self.target, **options))


class AllWeights(FolderCheckpoints):
    """No checkpoints, and every file of weights."""

    def mark_of(self, number: int) -> str | None:
        """None."""
        return None

    def has_weights(self, number: int, file: str) -> bool:
        """True."""
        return True


@dataclass
class OneDriver:
    """A driver with two workers."""

    leases: SharedLeases
    ask_tell: AskTell
    running: list[Proposal] = field(default_factory=list)
    is_finished: bool = False

    def step(self, rng: np.random.Generator) -> None:
        """Give a trial to a free worker, or record one that has ended."""
        if len(self.running) < 2 and not self.is_finished and rng.random() < 0.6:
            proposal = self.ask_tell.propose()
            self.is_finished = proposal == Finished()
            if isinstance(proposal, Proposal):
                self.running.append(proposal)
        elif self.running:
            proposal = self.running.pop(int(rng.integers(len(self.running))))
            self.ask_tell.record(proposal.number, outcome_of(proposal))

    @property
    def has_ended(self) -> bool:
        """True if it has nothing more to do."""
        return self.is_finished and not self.running


def outcome_of(proposal: Proposal) -> Completed:
    """The outcome of a segment, the same whoever trains it: accuracy rises with parameters and epochs."""
    until = proposal.until or 9
    accuracy = 1 - 1 / (cost(proposal.architecture).params * until) ** 0.2
    curve = [{"epoch": epoch + 1, "val_accuracy": accuracy} for epoch in range(until)]
    trained = Trained({"accuracy": accuracy}, curve, 1.0, 2.0, 0.1)
    outcome = Completed(proposal.seed, Measured({"images_per_s": 100.0}), trained)
    return outcome if until == 9 else Paused(**vars(outcome), epoch=until, inherited=proposal.inherited)


def create(driver: Any, url: str, folder: Path, target: int, rule: PromotionRule | None = None) -> Study:
    place = StoragePlace(StorageUrl.parse(url), "s")
    directions = [objective.direction for objective in driver.objectives]
    create_study(folder, "s", directions, {}, storage=place.url)
    return Study(place, driver, Clock(), target, rule)


def run(study: Study, rng: np.random.Generator, count: int, vanish: float = 0.0) -> list[OneDriver]:
    """Run `count` drivers in random order until all have ended; at each step one vanishes with the probability `vanish`."""
    drivers = [study.join() for _ in range(count)]
    ended: list[OneDriver] = []
    beaten_s = 0.0
    for _ in range(10_000):
        if not drivers:
            return ended
        study.clock.now_s += float(rng.exponential(2.0))
        if study.clock.now_s - beaten_s > 10:
            beaten_s = study.clock.now_s
            for driver in drivers:
                driver.leases.beat()
        driver = drivers[int(rng.integers(len(drivers)))]
        if rng.random() < vanish:
            drivers[drivers.index(driver)] = study.join()  # the other never does anything again
            continue
        driver.step(rng)
        if driver.has_ended:
            driver.leases.release()
            drivers.remove(driver)
            ended.append(driver)
    raise AssertionError("the search does not end")


def check(study: Study, target: int) -> list[optuna.trial.FrozenTrial]:
    trials = study.open().get_trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all(trial.state.is_finished() for trial in trials)
    trained = [trial for trial in trials if is_trained(trial)]
    assert len(trained) == target
    assert len({trial.user_attrs["id"] for trial in trained}) == target
    completions = Counter(event.number for event in study.recorded if event.values)
    assert completions == {trial.number: 1 for trial in trained if trial.state == TrialState.COMPLETE}
    return trained


@pytest.mark.parametrize(("count", "seed"), [(2, 0), (3, 1)])
def test_drivers_train_exactly_the_target_and_no_architecture_twice(
    driver: Any, database: str, tmp_path: Path, count: int, seed: int
) -> None:
    study = create(driver, database, tmp_path, 22)
    run(study, np.random.default_rng(seed), count)
    trained = check(study, 22)  # of 24 architectures: the drivers collide
    assert not study.lost
    assert len({trial.user_attrs["driver"] for trial in trained}) == count


@pytest.mark.parametrize("seed", range(3))
def test_trials_of_drivers_that_vanish_are_adopted_and_rungs_are_those_of_a_replay(
    driver: Any, database: str, tmp_path: Path, seed: int
) -> None:
    study = create(driver, database, tmp_path, 16, HALVING)
    drivers = run(study, np.random.default_rng(seed), 2, vanish=0.03)
    trained = check(study, 16)
    replayed = study.join().ask_tell.state
    assert replayed.trained == count_trained(trained) == 16
    for ended in drivers:
        state: SearchState = ended.ask_tell.state
        state.sync()
        assert state.ladder is not None
        assert replayed.ladder is not None
        assert state.ladder.reached == replayed.ladder.reached
        assert (state.seen, state.trained, state.unfinished) == (replayed.seen, replayed.trained, {})
    reached = {rung: len(values) for rung, values in replayed.ladder.reached.items()}
    assert reached[1] == 16
    assert 5 <= reached[3] <= 9
    assert 2 <= reached[9] <= 5


@pytest.mark.parametrize("seed", range(2))
def test_drivers_that_vanish_leave_a_front_that_was_trained_from_scratch(
    driver: Any, database: str, tmp_path: Path, seed: int
) -> None:
    study = create(driver, database, tmp_path, 16)
    study.rule = FrontPromotion((3, 9))
    run(study, np.random.default_rng(seed), 2, vanish=0.03)
    trained = check(study, 16)
    heirs = [trial for trial in trained if INHERITED in trial.user_attrs]
    assert heirs
    seen = {t.number: (t.intermediate_values.get(3) or t.values[0], -t.user_attrs["macs"]) for t in trained}
    for trial in heirs:
        own = seen[trial.number]
        is_dominated = any(other != own and all(map(operator.ge, other, own)) for other in seen.values())
        assert (trial.state == TrialState.PRUNED) == is_dominated
    assert all(trial.state == TrialState.COMPLETE for trial in trained if trial not in heirs)


def test_a_driver_that_was_stopped_for_longer_than_its_lease_drops_its_outcome(
    driver: Any, database: str, tmp_path: Path
) -> None:
    study = create(driver, database, tmp_path, 1)
    first, second = study.join(), study.join()
    proposal = first.ask_tell.propose()
    assert isinstance(proposal, Proposal)
    for _ in range(12):
        assert not isinstance(second.ask_tell.propose(), Proposal)  # the first may live
        study.clock.now_s += 5.0
        second.leases.beat()
    adopted = second.ask_tell.propose()
    assert isinstance(adopted, Proposal)
    assert (adopted.number, adopted.architecture) == (proposal.number, proposal.architecture)
    first.leases.beat()  # it goes on, and does not know
    first.ask_tell.record(proposal.number, outcome_of(proposal))
    assert study.lost == [TrialLost(proposal.number)]
    assert not study.recorded
    second.ask_tell.record(adopted.number, outcome_of(adopted))
    assert first.ask_tell.propose() == second.ask_tell.propose() == Finished()
    check(study, 1)


def test_a_driver_that_looked_away_does_not_take_the_trials_of_others(
    driver: Any, database: str, tmp_path: Path
) -> None:
    study = create(driver, database, tmp_path, 1)
    first, second = study.join(), study.join()
    proposal = first.ask_tell.propose()
    study.clock.now_s += 10 * LEASE_S  # the storage was away, or the second was stopped
    second.leases.beat()
    assert not isinstance(second.ask_tell.propose(), Proposal)
    assert isinstance(proposal, Proposal)
    first.ask_tell.record(proposal.number, outcome_of(proposal))
    assert second.ask_tell.propose() == Finished()


def test_a_driver_that_ends_leaves_its_trials_to_the_next_at_once(driver: Any, database: str, tmp_path: Path) -> None:
    study = create(driver, database, tmp_path, 2)
    first = study.join()
    proposals = [first.ask_tell.propose(), first.ask_tell.propose()]
    second = study.join()
    assert not isinstance(second.ask_tell.propose(), Proposal)
    first.leases.release()
    assert [second.ask_tell.propose(), second.ask_tell.propose()] == proposals
    drivers = second.leases.transactions.unlocked(lambda query: read_drivers(query, second.leases.transactions.study))
    assert list(drivers) == [second.leases.driver]


def test_a_trial_that_optuna_has_started_is_adopted_after_the_same_time(
    driver: Any, database: str, tmp_path: Path
) -> None:
    study = create(driver, database, tmp_path, 1)
    asked = study.open().ask()
    only = study.join()
    assert not isinstance(only.ask_tell.propose(), Proposal)
    for _ in range(12):
        study.clock.now_s += 5.0
        only.leases.beat()
    proposal = only.ask_tell.propose()
    assert isinstance(proposal, Proposal)
    assert proposal.number == asked.number
