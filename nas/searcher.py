"""Ask and tell: what to train next, and what came of it, over an Optuna study that is the only truth.

`propose` first takes up trials that an earlier driver left running, then asks the sampler, fixes what is known before
training (the architecture, its id, its costs) to the trial, and refuses what breaks a limit or was seen before. `finish`
writes what a worker measured and tells the study. A kill between any two steps leaves a RUNNING trial, which is taken
up again: nothing is lost and nothing trained twice.

Knows neither Ray nor torch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from nas.objectives import Objective
from search_space import Architecture, SearchSpace, cost

PATIENCE = 20  # proposals refused in a row before the space itself is asked for an untried architecture
TRIES = 2000  # random architectures looked at for an untried one
HOPELESS = 50  # architectures in a row refused by a worker before the limit on throughput is taken for too strict
TRAINED = (TrialState.COMPLETE, TrialState.FAIL)  # what counts towards the number of trials
COSTS = ("macs", "params", "fft_flops")


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number in the study, the architecture and the seed of its training."""

    number: int
    architecture: Architecture
    seed: int


@dataclass(frozen=True)
class Ended:
    """How a trial ended: its state, and its values in the order of the objectives if it is complete."""

    number: int
    state: TrialState
    values: tuple[float, ...] = ()


class Searcher:
    """The asking and telling side of one driver.

    Args:
        study: the Optuna study; its sampler proposes.
        space: what may be proposed.
        objectives: in the order of the study's values.
        trials: how many architectures to train in all, failed ones among them.
        limits: objective -> the worst value allowed.
        seed: of the study.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        objectives: Sequence[Objective],
        trials: int,
        limits: Mapping[str, float],
        seed: int,
    ) -> None:
        self.study = study
        self.space = space
        self.objectives = tuple(objectives)
        self.trials = trials
        self.limits = dict(limits)
        self.seed = seed
        self._open: dict[int, optuna.Trial] = {}
        known = study.get_trials(deepcopy=False)
        self._adopted = [trial for trial in known if trial.state == TrialState.RUNNING]
        self._numbers = {
            trial.user_attrs["id"]: trial.number
            for trial in known
            if "id" in trial.user_attrs and not _is_duplicate(trial) and trial.state != TrialState.RUNNING
        }
        self._finished = sum(trial.state in TRAINED for trial in known)
        self._too_slow = 0  # in a row
        self._rng = np.random.default_rng([seed, len(known)])

    @property
    def running(self) -> int:
        """Trials proposed and not yet finished."""
        return len(self._open)

    @property
    def finished(self) -> int:
        """Trials trained to the end, or failed."""
        return self._finished

    def propose(self) -> Proposal | None:
        """The next trial to run; None once enough are finished or running, or the space holds nothing new."""
        if self._adopted:
            found = self._adopted.pop(0)
            return self._admit(optuna.trial.Trial(self.study, found._trial_id)) or self.propose()
        if self._finished + self.running >= self.trials or len(self._numbers) >= self.space.size:
            return None
        if self._too_slow >= HOPELESS:
            return None
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
        trial = self._open.pop(number)
        record = {"failure": "the worker died"} if record is None else dict(record)
        for key, value in record.items():
            if key not in ("final", "accuracy"):
                trial.set_user_attr(key, value)
        for key in ("refused", "failure"):
            if key not in record and trial.user_attrs.get(key) is not None:
                trial.set_user_attr(key, None)  # of a driver that was killed before it told the study
        if "refused" in record:
            self._too_slow += 1
            self.study.tell(trial, state=TrialState.PRUNED)
            return Ended(number, TrialState.PRUNED)
        self._too_slow = 0
        self._finished += 1
        values = [record.get(o.name, trial.user_attrs.get(o.name)) for o in self.objectives]
        finite = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
        if "failure" not in record and len(finite) < len(values):
            record["failure"] = f"an objective is not finite: {values}"
            trial.set_user_attr("failure", record["failure"])
        if "failure" in record:
            self.study.tell(trial, state=TrialState.FAIL)
            return Ended(number, TrialState.FAIL)
        self.study.tell(trial, finite)
        return Ended(number, TrialState.COMPLETE, tuple(finite))

    def _admit(self, trial: optuna.Trial) -> Proposal | None:
        """Fix what is known of `trial`; None if it is refused, which the study is told."""
        architecture = self.space.suggest(trial)
        known = cost(architecture)
        for key in COSTS:
            trial.set_user_attr(key, getattr(known, key))
        broken = self._broken_limit(trial, {key: getattr(known, key) for key in COSTS})
        before = self._numbers.get(architecture.id)
        if broken is None and before is not None and before != trial.number:
            broken = f"duplicate of trial {before}"
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        if broken is not None:
            trial.set_user_attr("refused", broken)
            self.study.tell(trial, state=TrialState.PRUNED)
            self._numbers.setdefault(architecture.id, trial.number)
            return None
        self._numbers[architecture.id] = trial.number
        self._open[trial.number] = trial
        return Proposal(trial.number, architecture, seed_of(self.seed, architecture.id))

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


def within(architecture: Architecture, limits: Mapping[str, float]) -> bool:
    """True if the exact costs of `architecture` keep the `limits` that concern them."""
    known = cost(architecture)
    return all(getattr(known, name) <= limit for name, limit in limits.items() if name in COSTS)


def seed_of(study_seed: int, architecture_id: str) -> int:
    """The seed of an architecture's training: the same in every study of that seed."""
    return int.from_bytes(hashlib.sha256(f"{study_seed} {architecture_id}".encode()).digest()[:4], "big")


def _is_duplicate(trial: optuna.trial.FrozenTrial) -> bool:
    return str(trial.user_attrs.get("refused", "")).startswith("duplicate")
