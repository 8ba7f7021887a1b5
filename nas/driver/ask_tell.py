"""Ask and tell: what to train next, and what came of it, over an Optuna study that is the only truth.

`propose` first takes up trials that an earlier driver left running, then asks the sampler, fixes what is known before
training (the architecture, its id, its costs) to the trial, and refuses what breaks a limit or was seen before. `finish`
writes what a worker measured and tells the study. A kill between any two steps leaves a RUNNING trial, which is taken
up again: nothing is lost and nothing trained twice.

With a scheduler a trial is trained in legs, from rung to rung. Between two legs it is RUNNING in the study too, with what
it reached (`reached`, `curve`, and its accuracy as the intermediate value of that epoch). What is never
promoted is stopped at the end: PRUNED, with its curve.

Knows neither Ray nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.driver.halving import Halving, Ladder
from nas.evaluation.settings import MEASURED
from nas.objectives import Objective
from nas.study.trials import COSTS, Ended, Proposal, costs_of, is_duplicate, is_trained, seed_of, within
from search_space import Architecture, SearchSpace

PATIENCE = 20  # proposals refused in a row before the space itself is asked for an untried architecture
TRIES = 2000  # random architectures looked at for an untried one
HOPELESS = 50  # architectures in a row refused by a worker before the limit on throughput is taken for too strict
CARRIED = (*MEASURED, "overhead_s", "idle_s")  # from one leg of a trial to the next


class Searcher:
    """The asking and telling side of one driver.

    Args:
        study: the Optuna study; its sampler proposes.
        space: what may be proposed.
        objectives: in the order of the study's values.
        trials: how many architectures to train in all, failed ones among them.
        limits: objective -> the worst value allowed.
        seed: of the study.
        halving: the rungs that trainings pause at; None: each is trained to the end.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        objectives: Sequence[Objective],
        trials: int,
        limits: Mapping[str, float],
        seed: int,
        halving: Halving | None = None,
    ) -> None:
        self.study = study
        self.space = space
        self.objectives = tuple(objectives)
        self.trials = trials
        self.limits = dict(limits)
        self.seed = seed
        self.ladder = None if halving is None else Ladder(halving, self.objectives)
        self._open: dict[int, optuna.Trial] = {}  # trials that run or pause
        self._running: set[int] = set()
        self.stopped: list[Ended] = []  # trials that paused when the search ended
        known = study.get_trials(deepcopy=False)
        self._adopted = [trial for trial in known if trial.state == TrialState.RUNNING]
        self._numbers = {
            trial.user_attrs["id"]: trial.number
            for trial in known
            if "id" in trial.user_attrs and not is_duplicate(trial) and trial.state != TrialState.RUNNING
        }
        self._finished = sum(map(is_trained, known))
        self._too_slow = 0  # in a row
        self._rng = np.random.default_rng([seed, len(known)])
        if self.ladder is not None:
            self._restore(self.ladder, known)

    @property
    def running(self) -> int:
        """Trials proposed and neither finished nor pausing."""
        return len(self._running)

    @property
    def waits(self) -> bool:
        """True if there may be a trial to run later, when one of those that run has reached its rung."""
        return self.ladder is not None and bool(self._running)

    @property
    def finished(self) -> int:
        """Trials that are trained, to the end or as far as they got."""
        return self._finished

    def propose(self) -> Proposal | None:
        """The next trial to run; None if there is none now.

        While others run, there may be one later; without any running, None is the end, and what still pauses is stopped.
        """
        if self._adopted:
            found = self._adopted.pop(0)
            return self._admit(optuna.trial.Trial(self.study, found._trial_id)) or self.propose()
        begins = self._may_begin()
        if self.ladder is not None:
            promoted = self.ladder.promotion(last=not begins)
            if promoted is not None:
                return self._promoted(promoted)
        proposal = self._begin() if begins else None
        if proposal is None and not self._running and self.ladder is not None:
            promoted = self.ladder.promotion(last=True)
            if promoted is not None:
                return self._promoted(promoted)
            self._stop_paused(self.ladder)
        return proposal

    def _may_begin(self) -> bool:
        """True if another trial may begin, as far as can be told without asking for it."""
        return (
            self._finished + len(self._open) < self.trials
            and len(self._numbers) < self.space.size
            and self._too_slow < HOPELESS
        )

    def _begin(self) -> Proposal | None:
        for _ in range(PATIENCE):
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        for architecture in self._untried():
            self.study.enqueue_trial(dict(self.space.encode(architecture)))
            proposal = self._admit(self.study.ask())
            if proposal is not None:
                return proposal
        return None

    def finish(self, number: int, record: Mapping[str, Any] | None) -> Ended:
        """Write what a worker found about trial `number` and tell the study; a `record` of None is a worker that died."""
        self._running.discard(number)
        record = {"failure": "the worker died"} if record is None else dict(record)
        trial = self._open[number]
        for key, value in record.items():
            if key not in ("accuracy", "paused"):
                trial.set_user_attr(key, value)
        for key in ("refused", "failure"):
            if key not in record and trial.user_attrs.get(key) is not None:
                trial.set_user_attr(key, None)  # of a driver that was killed before it told the study
        if "refused" in record:
            self._too_slow += 1
            return self._end(number, TrialState.PRUNED, refused=True)
        self._too_slow = 0
        values = [record.get(o.name, trial.user_attrs.get(o.name)) for o in self.objectives]
        finite = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
        if "failure" not in record and len(finite) < len(values):
            record["failure"] = f"an objective is not finite: {values}"
            trial.set_user_attr("failure", record["failure"])
        if "failure" in record:
            self._finished += 1
            return self._end(number, TrialState.FAIL)
        if self.ladder is not None and "paused" in record:
            epoch = int(record["paused"])
            self.study._storage.set_trial_intermediate_value(trial._trial_id, epoch, float(record["accuracy"]))
            self.ladder.reach(number, epoch, finite)
            return Ended(number, TrialState.RUNNING)
        self._finished += 1
        if self.ladder is not None:
            self.ladder.reach(number, self.ladder.halving.rungs[-1], finite)
        return self._end(number, TrialState.COMPLETE, tuple(finite))

    def _end(self, number: int, state: TrialState, values: tuple[float, ...] = (), refused: bool = False) -> Ended:
        """Tell the study that a trial has ended."""
        if self.ladder is not None:
            self.ladder.leave(number)
        self.study.tell(self._open.pop(number), list(values) or None, state=state)
        return Ended(number, state, values, refused)

    def _stop_paused(self, ladder: Ladder) -> None:
        """Nothing runs and nothing goes on: what pauses has been stopped."""
        for number in ladder.paused:
            self._finished += 1
            self.stopped.append(self._end(number, TrialState.PRUNED))

    def _restore(self, ladder: Ladder, known: Sequence[FrozenTrial]) -> None:
        """Put the trials of an earlier driver where they stood."""
        for trial in known:
            for epoch, accuracy in sorted(trial.intermediate_values.items()):
                measured = {**trial.user_attrs, "accuracy": accuracy}
                ladder.reach(trial.number, epoch, [float(measured[o.name]) for o in self.objectives])
            if trial.state == TrialState.COMPLETE:
                ladder.reach(trial.number, ladder.halving.rungs[-1], trial.values)
            reached = max(trial.intermediate_values, default=0)
            pauses = trial.state == TrialState.RUNNING and reached >= trial.user_attrs.get("until", math.inf)
            if not pauses:
                ladder.leave(trial.number)
                if trial.state == TrialState.RUNNING and reached:
                    ladder.resume(trial.number, reached)
                continue
            self._adopted = [other for other in self._adopted if other.number != trial.number]
            self._open[trial.number] = optuna.trial.Trial(self.study, trial._trial_id)
            self._numbers[trial.user_attrs["id"]] = trial.number

    def _admit(self, trial: optuna.Trial) -> Proposal | None:
        """Fix what is known of `trial`; None if it is refused, which the study is told."""
        architecture = self.space.suggest(trial)
        known = costs_of(architecture)
        for key in COSTS:
            trial.set_user_attr(key, getattr(known, key))
        broken = self._broken_limit(trial, {key: getattr(known, key) for key in COSTS})
        before = self._numbers.get(architecture.id)
        duplicate = broken is None and before is not None and before != trial.number
        if duplicate:
            broken = f"duplicate of trial {before}"
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        if broken is not None:
            trial.set_user_attr("refused", broken)
            # Samplers take what is pruned for bad: a duplicate is not.
            self.study.tell(trial, state=TrialState.FAIL if duplicate else TrialState.PRUNED)
            self._numbers.setdefault(architecture.id, trial.number)
            return None
        self._numbers[architecture.id] = trial.number
        self._open[trial.number] = trial
        return self._proposal(trial, architecture)

    def _promoted(self, number: int) -> Proposal:
        """A paused trial, to go on."""
        trial = self._open[number]
        return self._proposal(trial, Architecture.from_dict(trial.user_attrs["architecture"]))

    def _proposal(self, trial: optuna.Trial, architecture: Architecture) -> Proposal:
        """Have `trial`, which has been admitted, run; to its next rung, if there are rungs."""
        seed = seed_of(self.seed, architecture.id)
        self._running.add(trial.number)
        if self.ladder is None:
            return Proposal(trial.number, architecture, seed)
        until = self.ladder.climb(trial.number)
        trial.set_user_attr("until", until)
        attributes = trial.user_attrs
        before = {key: attributes[key] for key in CARRIED if key in attributes}
        return Proposal(trial.number, architecture, seed, until, before)

    def _broken_limit(self, trial: optuna.Trial, costs: Mapping[str, int]) -> str | None:
        broken = None
        for name in costs.keys() & self.limits.keys():
            excess = costs[name] - self.limits[name]
            trial.set_constraint(name, float(excess))
            if excess > 0:
                broken = f"limit {name}: {costs[name]} > {self.limits[name]:g}"
        return broken

    def _untried(self) -> Iterator[Architecture]:
        """Architectures within the limits that no trial had yet: random ones, or all of a space small enough."""
        small = self.space.size <= TRIES
        for architecture in self.space if small else (self.space.sample(self._rng) for _ in range(TRIES)):
            if architecture.id not in self._numbers and within(architecture, self.limits):
                yield architecture
