"""What to train next: interrupted trials first, then promotions, then what the sampler suggests.

A suggestion becomes a proposal once it is admitted: its architecture, id and exact costs are fixed to the trial, and it is
refused if it violates a limit or was seen before. A kill between any two steps leaves a RUNNING trial, which the next driver
takes up.
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
from nas.study.events import TrialEnded
from nas.study.optuna_adapter import open_trial
from nas.study.records import OUTCOME, Duplicate, EarlierSegments, Refused, name_of
from nas.study.trials import seed_of, within
from search_space import Architecture, SearchSpace

MAX_REFUSED_SUGGESTIONS = 20  # in a row, before the space itself is asked for an architecture that was not seen
MAX_RANDOM_DRAWS = 2000  # random architectures looked at for one that was not seen
MAX_REFUSALS_BY_WORKERS = 50  # in a row, after which a limit on a measured objective counts as too strict


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        number: in the study.
        architecture: what to train.
        seed: of its training.
        until: the epoch at which to pause; None: train to the end.
        earlier: what the segments before carried over.
    """

    number: int
    architecture: Architecture
    seed: int
    until: int | None = None
    earlier: EarlierSegments = field(default_factory=EarlierSegments)


@dataclass(frozen=True)
class Wait:
    """Nothing to run now; there may be when a trial that runs has reached its rung."""


@dataclass(frozen=True)
class Finished:
    """Nothing to run, now or later."""


class Proposer:
    """Proposes trials.

    Args:
        state: of the search; it is updated.
        space: what may be proposed.
        objectives: in the order of values.
        target: trials to be trained in all, failed ones among them.
        limits: objective -> the worst value allowed.
        seed: of the study.
        on_refused: gets each trial that is refused before it is proposed.
    """

    def __init__(
        self,
        state: SearchState,
        space: SearchSpace,
        objectives: Sequence[Objective],
        target: int,
        limits: Mapping[str, float],
        seed: int,
        on_refused: Callable[[TrialEnded], None],
    ) -> None:
        self.state = state
        self.study = state.study
        self.space = space
        self.objectives = tuple(objectives)
        self.target = target
        self.limits = dict(limits)
        self.seed = seed
        self.on_refused = on_refused
        self._workers_refuse = any(not OBJECTIVES[name].cheap for name in limits)  # what they refuse does not count
        self._rng = np.random.default_rng([seed, len(state.study.get_trials(deepcopy=False))])

    def propose(self) -> Proposal | Wait | Finished:
        """The next trial to run. After `Finished` the trials that still pause will not go on."""
        while self.state.interrupted:
            proposal = self._admit(open_trial(self.study, self.state.interrupted.pop(0)))
            if proposal is not None:
                return proposal
        ladder, may_begin = self.state.ladder, self._may_begin()
        if ladder is not None:
            promoted = ladder.promotion(last=not may_begin)
            if promoted is not None:
                return self._promote(promoted)
        proposal = self._suggest() if may_begin else None
        if proposal is not None:
            return proposal
        if self.state.running and (ladder is not None or (self._workers_refuse and not may_begin)):
            return Wait()
        promoted = None if ladder is None else ladder.promotion(last=True)
        return Finished() if promoted is None else self._promote(promoted)

    def _may_begin(self) -> bool:
        """True if another trial may begin, as far as is known without asking the sampler."""
        state = self.state
        return (
            state.trained + len(state.open) < self.target
            and len(state.seen) < self.space.size
            and state.refused_in_a_row < MAX_REFUSALS_BY_WORKERS
        )

    def _suggest(self) -> Proposal | None:
        """A new trial: what the sampler suggests, or else a random architecture that was not seen."""
        for _ in range(MAX_REFUSED_SUGGESTIONS):
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        for architecture in self._unseen():
            self.study.enqueue_trial(dict(self.space.encode(architecture)))
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        return None

    def _unseen(self) -> Iterator[Architecture]:
        """Architectures within the limits that no trial has: random ones, or all of a space that is small enough."""
        is_small = self.space.size <= MAX_RANDOM_DRAWS
        random_draws = (self.space.sample(self._rng) for _ in range(MAX_RANDOM_DRAWS))
        for architecture in self.space if is_small else random_draws:
            if architecture.id not in self.state.seen and within(architecture, self.limits):
                yield architecture

    def _admit(self, trial: optuna.Trial) -> Proposal | None:
        """Fix what is known of `trial` before its training; None if it is refused, which the study is told."""
        architecture = self.space.suggest(trial)
        costs = cost_values(architecture)
        for name, value in costs.items():
            trial.set_user_attr(name, value)
        refusal: Refused | Duplicate | None = self._violated_limit(trial, costs)
        first = self.state.seen.get(architecture.id)
        if refusal is None and first is not None and first != trial.number:
            refusal = Duplicate(first)
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        if refusal is None:
            self.state.seen[architecture.id] = trial.number
            self.state.open[trial.number] = trial
            return self._proposal(trial, architecture)
        for name, value in {**refusal.to_attributes(), OUTCOME: name_of(refusal)}.items():
            trial.set_user_attr(name, value)
        # Samplers take a pruned trial for a bad one: a duplicate is none.
        self.study.tell(trial, state=TrialState.FAIL if isinstance(refusal, Duplicate) else TrialState.PRUNED)
        self.state.seen.setdefault(architecture.id, trial.number)
        self.on_refused(TrialEnded(trial.number, refusal))
        return None

    def _violated_limit(self, trial: optuna.Trial, costs: Mapping[str, float]) -> Refused | None:
        """The refusal of a trial whose exact `costs` violate a limit; its constraints are set."""
        refusal = None
        for name in costs.keys() & self.limits.keys():
            objective, limit = OBJECTIVES[name], self.limits[name]
            trial.set_constraint(name, float(objective.excess(costs[name], limit)))
            if objective.violates(costs[name], limit):
                sign = "<" if costs[name] < limit else ">"
                refusal = Refused(f"limit {name}: {costs[name]} {sign} {limit:g}")
        return refusal

    def _promote(self, number: int) -> Proposal:
        """A paused trial, to go on."""
        trial = self.state.open[number]
        return self._proposal(trial, Architecture.from_dict(trial.user_attrs["architecture"]))

    def _proposal(self, trial: optuna.Trial, architecture: Architecture) -> Proposal:
        """`trial`, which was admitted, to run: up to its next rung, if there are rungs."""
        seed = seed_of(self.seed, architecture.id)
        self.state.running.add(trial.number)
        ladder: Ladder | None = self.state.ladder
        if ladder is None:
            return Proposal(trial.number, architecture, seed)
        until = ladder.climb(trial.number)
        trial.set_user_attr("until", until)
        return Proposal(trial.number, architecture, seed, until, EarlierSegments.from_attributes(trial.user_attrs))
