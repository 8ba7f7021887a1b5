"""Chooses the next trial: interrupted trials first, then repeated ones, then promotions, then suggestions of the sampler.

A suggestion becomes a proposal once it is admitted: its architecture, id and exact costs become attributes of the trial, and
the trial is refused if it violates a limit, or fails as a duplicate if the architecture was proposed before. A driver that is
killed between any two steps leaves a RUNNING trial, which the next driver adopts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.trial import TrialState

from nas.driver.halving import Ladder
from nas.driver.state import SearchState
from nas.objectives import OBJECTIVES, Objective
from nas.objectives.costs import cost_values
from nas.sampler.prediction import PREDICTED, PredictingSampler
from nas.study.events import TrialRecorded
from nas.study.limits import excesses, find_violation, satisfies_limits
from nas.study.optuna_adapter import open_trial, start_trial
from nas.study.records import OUTCOME, Duplicate, EarlierSegments, Refused, name_of
from nas.study.trials import seed_of
from search_space import Architecture, SearchSpace

MAX_REFUSED_SUGGESTIONS = 20  # in a row; then a random architecture that was not seen is proposed
MAX_RANDOM_DRAWS = 2000  # random architectures drawn to get one that was not seen
MAX_REFUSALS_BY_WORKERS = 50  # in a row; then a limit on a measured objective counts as too strict, and the search ends


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        number: the number of the trial.
        architecture: the architecture to train.
        seed: the seed of its training.
        until: the epoch at which to pause; None: train to the end.
        earlier: measurements and times of its earlier segments.
    """

    number: int
    architecture: Architecture
    seed: int
    until: int | None = None
    earlier: EarlierSegments = field(default_factory=EarlierSegments)


@dataclass(frozen=True)
class Wait:
    """There is nothing to run now; this may change when a running trial reaches its rung or ends."""


@dataclass(frozen=True)
class Finished:
    """There is nothing more to run."""


class Proposer:
    """Proposes trials.

    Args:
        state: the state of the search; it is updated.
        space: the search space.
        objectives: the objectives, in the order of values.
        target: number of trials to train, including failed ones.
        limits: objective -> the worst value allowed.
        seed: the seed of the study.
        on_refused: called with each trial that is refused, or a duplicate, before it is proposed.
    """

    def __init__(
        self,
        state: SearchState,
        space: SearchSpace,
        objectives: Sequence[Objective],
        target: int,
        limits: Mapping[str, float],
        seed: int,
        on_refused: Callable[[TrialRecorded], None],
    ) -> None:
        self.state = state
        self.study = state.study
        self.space = space
        self.objectives = tuple(objectives)
        self.target = target
        self.limits = dict(limits)
        self.seed = seed
        self.on_refused = on_refused
        self._nothing_left = ""  # why no architecture is left to propose
        self._workers_refuse = any(
            not OBJECTIVES[name].cheap for name in limits
        )  # trials that they refuse do not count
        self._rng = np.random.default_rng([seed, len(state.study.get_trials(deepcopy=False))])

    def propose(self) -> Proposal | Wait | Finished:
        """Return the next trial to run. After `Finished` no paused trial is promoted any more."""
        while self.state.interrupted:
            proposal = self._admit(open_trial(self.study, self.state.interrupted.pop(0)))
            if proposal is not None:
                return proposal
        while self.state.retries:
            proposal = self._admit(start_trial(self.study, self.state.retries.pop(0)))
            if proposal is not None:
                return proposal
        ladder, may_start = self.state.ladder, self._may_start_trial()
        if ladder is not None:
            promoted = ladder.promotion(no_new_trials=not may_start)
            if promoted is not None:
                return self._promote(promoted)
        proposal = self._suggest() if may_start else None
        if proposal is not None:
            return proposal
        if self.state.running and (ladder is not None or (self._workers_refuse and not may_start)):
            return Wait()
        promoted = None if ladder is None else ladder.promotion(no_new_trials=True)
        return Finished() if promoted is None else self._promote(promoted)

    @property
    def end_reason(self) -> str:
        """Why the search ends before it has its number of trials; empty if it has them, or may go on."""
        return self._nothing_left if self.state.trained < self.target else ""

    def _may_start_trial(self) -> bool:
        """True if the counts of the search allow another trial."""
        state = self.state
        if state.trained + len(state.open) + len(state.retries) >= self.target:
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
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        for architecture in self._unseen_architectures():
            self.study.enqueue_trial(dict(self.space.encode(architecture)))
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        if self._is_small:
            self._nothing_left = "every architecture of the space that satisfies the limits on costs was tried"
        else:
            draws = f"{MAX_RANDOM_DRAWS:,} random architectures"
            self._nothing_left = f"none of {draws} was new and satisfied the limits on costs"
        return None

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

    def _admit(self, trial: optuna.Trial) -> Proposal | None:
        """Write the architecture and the exact costs of `trial` to the study; None if it is refused or a duplicate."""
        architecture = self.space.suggest(trial)
        costs = cost_values(architecture)
        for name, value in costs.items():
            trial.set_user_attr(name, value)
        for name, excess in excesses(costs, self.limits).items():
            trial.set_constraint(name, excess)
        violation = find_violation(costs, self.limits)
        refusal: Refused | Duplicate | None = None if violation is None else Refused(violation)
        first = self.state.seen.get(architecture.id)
        if refusal is None and first is not None and first != trial.number:
            refusal = Duplicate(first)
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        if refusal is None:
            self._write_prediction(trial)
            self.state.seen[architecture.id] = trial.number
            self.state.open[trial.number] = trial
            return self._proposal(trial, architecture)
        for name, value in {**refusal.to_attributes(), OUTCOME: name_of(refusal)}.items():
            trial.set_user_attr(name, value)
        # Samplers learn from a pruned trial that it is bad, and ignore a failed one; a duplicate is not bad.
        self.study.tell(trial, state=TrialState.FAIL if isinstance(refusal, Duplicate) else TrialState.PRUNED)
        self.state.seen.setdefault(architecture.id, trial.number)
        self.on_refused(TrialRecorded(trial.number, refusal))
        return None

    def _write_prediction(self, trial: optuna.Trial) -> None:
        """Write what the sampler expects of `trial`, if it has a model."""
        sampler = self.study.sampler
        prediction = sampler.prediction(trial.number) if isinstance(sampler, PredictingSampler) else None
        if prediction is not None:
            trial.set_user_attr(PREDICTED, {self.objectives[prediction.objective].name: prediction.to_list()})

    def _promote(self, number: int) -> Proposal:
        """The proposal to continue the paused trial `number`."""
        trial = self.state.open[number]
        return self._proposal(trial, Architecture.from_dict(trial.user_attrs["architecture"]))

    def _proposal(self, trial: optuna.Trial, architecture: Architecture) -> Proposal:
        """The proposal to run an admitted `trial`, up to its next rung if there are rungs."""
        seed = seed_of(self.seed, architecture.id)
        self.state.running.add(trial.number)
        ladder: Ladder | None = self.state.ladder
        if ladder is None:
            return Proposal(trial.number, architecture, seed)
        until = ladder.climb(trial.number)
        trial.set_user_attr("until", until)
        return Proposal(trial.number, architecture, seed, until, EarlierSegments.from_attributes(trial.user_attrs))
