"""Chooses the next trial: interrupted trials first, then repeated ones, then promotions, then suggestions of the sampler.

A suggestion becomes a proposal once it is admitted (`nas.driver.admission`). A driver that is killed between any two steps leaves
a RUNNING trial, which the next driver adopts.

With several drivers, each step that must agree with theirs is one transaction that excludes them: a trial is created only while
the study needs one more, admitted only if no other has its architecture, and promoted once. Suggestions are made in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.driver.admission import Admission
from nas.driver.adoption import adopt, may_promote, others_running
from nas.driver.front_time import FrontTime
from nas.driver.proposal import Finished, Proposal, Wait
from nas.driver.rungs.ladder import Ladder
from nas.driver.state import SearchState
from nas.objectives import OBJECTIVES
from nas.study.database.drivers import DRIVER
from nas.study.database.trial_store import OpenTrial, Transaction, TrialChange
from nas.study.limits import satisfies_limits
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.worker_tasks import EarlierSegments
from nas.study.trials import seed_of
from search_space import Architecture

MAX_REFUSED_SUGGESTIONS = 20  # in a row; then a random architecture that was not seen is proposed
MAX_RANDOM_DRAWS = 2000  # random architectures drawn to get one that was not seen
MAX_UNMEASURED = 32  # trials that were trained and wait for their measurement; more are not trained blindly
MAX_REFUSALS_BY_WORKERS = 50  # in a row; then a limit on a measured objective counts as too strict, and the search ends


@dataclass(frozen=True)
class _Idle:
    """A driver that has nothing to propose while the same trials run: it looks again at intervals of `TrialStore.poll_s`.

    Args:
        since_s: when it had nothing to propose first.
        looked_s: when it looked last.
        running: the trials that its workers trained then.
    """

    since_s: float
    looked_s: float
    running: frozenset[int]


class Proposer:
    """Proposes trials.

    Args:
        state: the state of the search; it is updated.
        admission: admits suggestions to the study.
        target: number of trials to train, including failed ones.
        seed: the seed of the study.
        front_time: keeps time of a time budget for the front; None: there is none to keep.
    """

    def __init__(
        self,
        state: SearchState,
        admission: Admission,
        target: int,
        seed: int,
        front_time: FrontTime | None = None,
    ) -> None:
        self.state = state
        self.admission = admission
        self.space = admission.space
        self.limits = admission.limits
        self.target = target
        self.seed = seed
        self.front_time = front_time
        self._nothing_left = ""  # why no architecture is left to propose
        self._workers_refuse = any(not OBJECTIVES[name].cheap for name in self.limits)  # such trials do not count
        index = state.store.index  # so that drivers that start together draw different architectures
        first_number = state.first_number
        self._rng = np.random.default_rng([seed, first_number, index] if index else [seed, first_number])
        self._idle: _Idle | None = None

    def propose(self) -> Proposal | Wait | Finished:
        """Return the next trial to run. After `Finished` no paused trial is promoted any more.

        Raises:
            StorageError: the storage cannot be read or written; the call may be repeated.
        """
        now_s = self.state.store.now_s()
        idle = self._idle if self._idle is not None and self._idle.running == self.state.running else None
        if idle is not None and now_s - idle.looked_s < self.state.store.poll_s:
            return Wait()
        since_s = now_s if idle is None else idle.since_s
        proposal = self._next_proposal(since_s)
        self._idle = _Idle(since_s, now_s, frozenset(self.state.running)) if isinstance(proposal, Wait) else None
        return proposal

    def _next_proposal(self, idle_since_s: float) -> Proposal | Wait | Finished:
        state = self.state
        state.sync()
        proposal = self._continue_interrupted() or self._repeat_failed()
        if proposal is not None:
            return proposal
        if len(state.unmeasured) >= MAX_UNMEASURED:
            return Wait()
        ladder, may_start = state.ladder, self._may_start_trial()
        proposal = self._promote(no_new_trials=not may_start) or (self._suggest() if may_start else None)
        if proposal is not None:
            return proposal
        may_change = ladder is not None or state.is_measured_apart
        if state.unmeasured or (state.running and (may_change or (self._workers_refuse and not may_start))):
            return Wait()
        others = others_running(state)
        if others and (may_change or not all(state.store.is_heard(driver, idle_since_s) for driver in others)):
            return Wait()  # they may leave something to this driver: promotions, or their trials
        proposal = self._promote(no_new_trials=True)
        if proposal is None and ladder is not None and ladder.promotion(no_new_trials=True) is not None:
            return Wait()  # the driver that has its checkpoint promotes it
        return proposal or Finished()

    def _continue_interrupted(self) -> Proposal | None:
        while (number := adopt(self.state)) is not None:
            proposal = self._admit(self.state.open_trial(number))
            if proposal is not None:
                return proposal
        return None

    def _repeat_failed(self) -> Proposal | None:
        def start(transaction: Transaction) -> int | None:
            self.state.update(transaction.read())
            return next((number for number in self.state.retries if transaction.start(number)), None)

        while self.state.retries:
            number = self.state.store.transact(start)
            if number is None:
                return None
            self.state.retries.remove(number)
            proposal = self._admit(self.state.open_trial(number))
            if proposal is not None:
                return proposal
        return None

    @property
    def end_reason(self) -> str:
        """Why the search ends before it has its number of trials; empty if it has them, or may go on."""
        return self._nothing_left if self.state.trained < self.target else ""

    def _may_start_trial(self) -> bool:
        """True if the counts of the search allow another trial."""
        state = self.state
        if state.trained + len(state.unfinished) + len(state.retries) >= self.target:
            return False
        if self.front_time is not None and state.ladder is not None and self.front_time.check(state.ladder):
            return False
        if len(state.seen) >= self.space.size:
            self._nothing_left = f"every architecture of the space was tried ({self.space.size} in all)"
        elif state.refused_in_a_row >= MAX_REFUSALS_BY_WORKERS:
            self._nothing_left = f"{state.refused_in_a_row} measured architectures in a row violated a limit"
        else:
            return True
        return False

    def _suggest(self) -> Proposal | None:
        """A new trial: the suggestion of the sampler, or else a random architecture that was not seen."""
        for _ in range(MAX_REFUSED_SUGGESTIONS):
            trial = self._create()
            proposal = None if trial is None else self._admit(trial)
            if trial is None or proposal is not None:
                return proposal
        for architecture in self._unseen_architectures():
            trial = self._create(dict(self.space.encode(architecture)))
            proposal = None if trial is None else self._admit(trial)
            if trial is None or proposal is not None:
                return proposal
        if self._is_small:
            self._nothing_left = "every architecture of the space that satisfies the limits on costs was tried"
        else:
            draws = f"{MAX_RANDOM_DRAWS:,} random architectures"
            self._nothing_left = f"none of {draws} was new and satisfied the limits on costs"
        return None

    def _create(self, params: Mapping[str, Any] | None = None) -> OpenTrial | None:
        """Start a trial, with these `params` if any are given; None if the study needs none any more."""

        def create(transaction: Transaction) -> int | None:
            self.state.update(transaction.read())
            return transaction.create(params) if self._may_start_trial() else None

        number = self.state.store.transact(create)
        return None if number is None else self.state.open_trial(number)

    @property
    def _is_small(self) -> bool:
        """True if all architectures of the space can be gone through."""
        return self.space.size <= MAX_RANDOM_DRAWS

    def _unseen_architectures(self) -> Iterator[Architecture]:
        """Architectures within the limits that no trial has: all of a small space, random ones of a large space."""
        random_draws = (self.space.sample(self._rng) for _ in range(MAX_RANDOM_DRAWS))
        for architecture in self.space if self._is_small else random_draws:
            if architecture.id not in self.state.seen and satisfies_limits(architecture, self.limits):
                yield architecture

    def _admit(self, trial: OpenTrial) -> Proposal | None:
        """The proposal of `trial`; None if it is refused, a duplicate, or another driver's."""
        architecture = self.admission.admit(trial)
        return None if architecture is None else self._proposal(trial, architecture)

    def _promote(self, no_new_trials: bool) -> Proposal | None:
        """The proposal to continue the paused trial that is to be promoted now; None if there is none for this driver."""
        ladder, state = self.state.ladder, self.state
        if ladder is None:
            return None

        def choose() -> int | None:
            number = ladder.promotion(no_new_trials)
            return number if number is not None and may_promote(state, number) else None

        def write(transaction: Transaction) -> int | None:
            state.update(transaction.read())
            number = choose()
            if number is not None:
                transaction.write(number, TrialChange({"until": ladder.next_rung(number), DRIVER: state.store.driver}))
            return number

        number = choose()
        number = None if number is None else state.store.transact(write)
        if number is None:
            return None
        trial = state.open_trial(number)
        trial.user_attrs["until"] = ladder.next_rung(number)
        return self._proposal(trial, Architecture.from_dict(trial.user_attrs["architecture"]))

    def _proposal(self, trial: OpenTrial, architecture: Architecture) -> Proposal:
        """The proposal to run an admitted `trial`, up to its next rung if there are rungs."""
        seed = seed_of(self.seed, architecture.id)
        self.state.running.add(trial.number)
        ladder: Ladder | None = self.state.ladder
        if ladder is None:
            return Proposal(trial.number, architecture, seed)
        until = int(trial.user_attrs["until"])
        ladder.climb_to(trial.number, until)
        earlier = EarlierSegments.from_attributes(trial.user_attrs)
        inherited = Inheritance.from_attributes(trial.user_attrs) if self.admission.parents is not None else None
        if inherited is not None and until > inherited.epochs:  # from scratch: what was inherited is time spent besides
            earlier, inherited = replace(earlier, overhead_s=earlier.wall_s), None
        return Proposal(trial.number, architecture, seed, until, earlier, inherited)
