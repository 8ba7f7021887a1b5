"""The admission of suggestions: what makes a trial one that is trained.

The architecture, its id and its exact costs become attributes of the trial. It is refused if it violates a limit, and fails as a
duplicate if another trial has the architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import TrialState

from nas.driver.parents import Parents
from nas.driver.state import SearchState
from nas.objectives import Objective
from nas.objectives.costs import cost_values
from nas.sampler.prediction import PREDICTED, PredictingSampler
from nas.study.database.trial_store import Lease, OpenTrial, Transaction, TrialChange
from nas.study.events import TrialRecorded
from nas.study.limits import excesses, find_violation
from nas.study.outcomes.inheritance import INHERITED
from nas.study.outcomes.records import OUTCOME, Duplicate, Refused, name_of
from search_space import Architecture, SearchSpace


class Admission:
    """Admits trials.

    Args:
        state: the state of the search; it is updated.
        space: the search space.
        objectives: the objectives, in the order of values.
        limits: objective -> the worst value allowed.
        on_refused: called with each trial that is refused, or a duplicate.
        parents: the trials whose weights others take over; None: all are trained from scratch.
    """

    def __init__(
        self,
        state: SearchState,
        space: SearchSpace,
        objectives: Sequence[Objective],
        limits: Mapping[str, float],
        on_refused: Callable[[TrialRecorded], None],
        parents: Parents | None,
    ) -> None:
        self.state, self.space, self.objectives = state, space, tuple(objectives)
        self.limits, self.on_refused, self.parents = dict(limits), on_refused, parents

    def admit(self, trial: OpenTrial) -> Architecture | None:
        """Write what the sampler suggests for `trial` to the study; None if it is refused, a duplicate, or another driver's."""
        try:
            architecture, answer = self._write_suggestion(trial)
        except BaseException:  # such as that of a storage that is away
            self.state.release(trial.number)
            raise
        if answer is Lease.HELD:
            self.state.admitted(trial.number, architecture.id)
            return architecture
        if isinstance(answer, Lease):  # another driver has it
            self.state.release(trial.number)
            return None
        self.state.ended(trial.number, _state_of(answer), None, counts=False)
        if isinstance(answer, Refused):
            self.state.seen.setdefault(architecture.id, trial.number)
        self.on_refused(TrialRecorded(trial.number, answer))
        return None

    def _write_suggestion(self, trial: OpenTrial) -> tuple[Architecture, Lease | Refused | Duplicate]:
        """Write what the sampler suggests for `trial`; returns it, and whether it may be trained (`Lease.HELD`)."""
        architecture = self.space.suggest(trial.trial)
        costs = cost_values(architecture)
        violation = find_violation(costs, self.limits)
        attributes = {**costs, "architecture": architecture.to_dict(), "id": architecture.id}
        if self.state.front_measuring is not None:
            attributes |= self.state.front_measuring.attributes_of(architecture)
        change = TrialChange(attributes, excesses(costs, self.limits), trial.params)
        segment = self._next_segment(trial, architecture)

        def write(transaction: Transaction) -> Refused | Duplicate | Lease:
            self.state.update(transaction.read())
            lease = transaction.lease(trial.number)
            if lease is Lease.LOST:
                return lease
            first = self.state.seen.get(architecture.id)
            refusal: Refused | Duplicate | None = None if violation is None else Refused(violation)
            if refusal is None and first is not None and first != trial.number:
                refusal = Duplicate(first)
            if lease is Lease.ENDED:  # by an earlier call, whose answer was lost
                return refusal or Lease.LOST
            if refusal is None:
                admitted = {**change.attributes, **self._prediction(trial.number), **segment}
                transaction.write(trial.number, replace(change, attributes=admitted))
                return Lease.HELD
            written = {**change.attributes, **refusal.to_attributes(), OUTCOME: name_of(refusal)}
            transaction.write(trial.number, replace(change, attributes=written, state=_state_of(refusal)))
            return refusal

        answer = self.state.store.transact(write)
        trial.user_attrs |= {**change.attributes, **segment}
        return architecture, answer

    def _next_segment(self, trial: OpenTrial, architecture: Architecture) -> dict[str, Any]:
        """Up to which epoch `trial` is trained next, and from which weights, as user attributes."""
        ladder = self.state.ladder
        if ladder is None:
            return {}
        if self.parents is None:
            return {"until": ladder.next_rung(trial.number)}
        if trial.user_attrs.get("until") is not None:  # an interrupted trial goes on from the same weights
            return {"until": trial.user_attrs["until"]}
        inherited = self.parents.nearest(architecture)
        if inherited is None:
            return {"until": ladder.promotion_rule.rungs[-1]}
        return {"until": inherited.epochs, INHERITED: inherited.to_dict()}

    def _prediction(self, number: int) -> dict[str, Any]:
        """What the sampler expects of the trial, if it has a model, as a user attribute."""
        sampler = self.state.study.sampler
        prediction = sampler.prediction(number) if isinstance(sampler, PredictingSampler) else None
        return (
            {}
            if prediction is None
            else {PREDICTED: {self.objectives[prediction.objective].name: prediction.to_list()}}
        )


def _state_of(refusal: Refused | Duplicate) -> TrialState:
    """Samplers learn from a pruned trial that it is bad, and ignore a failed one; a duplicate is not bad."""
    return TrialState.FAIL if isinstance(refusal, Duplicate) else TrialState.PRUNED
