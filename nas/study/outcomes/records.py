"""The outcomes of trials as typed values, which workers send to the driver and the driver writes to the storage.

    TrialOutcome
    ├── Completed    trained to the end
    ├── Paused       trained to a rung; may be promoted
    ├── Stopped      trained to a rung, and never promoted
    ├── Refused      not trained: a value violates a limit
    ├── Duplicate    not trained: its architecture was proposed before
    └── Failed       its training, or the worker, failed

A worker may also return `MachineFailure`, `Interrupted` or `MeasuredOnly`, which are no outcomes: the trial stays open, or its
outcome is completed.

Workers send them as JSON (`nas.study.outcomes.record_json`). The storage keeps `to_attributes` as user attributes of the trial
(`nas.study.trials` reads them). Needs neither Optuna nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from nas.study.outcomes.inheritance import INHERITED, Inheritance
from nas.study.outcomes.outcome_parts import Measured, Trained

OUTCOME = "outcome"
"""The key of a record, and the user attribute, that names the kind of an outcome (`name_of`)."""

INFEASIBLE = "infeasible"
"""The user attribute of a failed trial whose architecture cannot be trained: the kind of its failure."""


@dataclass(frozen=True)
class TrainedSegment:
    """What `Completed` and `Paused` have in common: a trial that was trained up to some epoch."""

    seed: int
    measured: Measured
    trained: Trained
    idle_s: float = 0.0
    """Seconds that the worker waited for the trial."""

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        waited = {"idle_s": self.idle_s}
        return {"seed": self.seed, **self.measured.to_attributes(), **self.trained.to_attributes(), **waited}


@dataclass(frozen=True)
class Completed(TrainedSegment):
    """A trial that was trained to the end."""


@dataclass(frozen=True)
class Paused(TrainedSegment):
    """A trial that was trained up to the rung `epoch`, and may be promoted.

    Args:
        epoch: the rung.
        inherited: from which trial the training took its first weights over; None: from none.
    """

    epoch: int = 0
    inherited: Inheritance | None = None

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        inherited = {} if self.inherited is None else {INHERITED: self.inherited.to_dict()}
        return {**super().to_attributes(), **inherited}


@dataclass(frozen=True)
class Stopped:
    """A trial that paused at the rung `epoch` and had not been promoted when the search ended."""

    epoch: int

    def to_attributes(self) -> dict[str, Any]:
        """Empty: the values were recorded when the trial paused."""
        return {}


@dataclass(frozen=True)
class Refused:
    """A trial that was not trained, since a value violates a limit.

    Args:
        reason: the limit, the value and the worst value allowed: "limit macs: 5000 > 4000".
        seed: the seed that the training would have had; None if the trial reached no worker.
        measured: the measurements.
        idle_s: seconds that the worker waited for the trial.
    """

    reason: str
    seed: int | None = None
    measured: Measured = field(default_factory=Measured)
    idle_s: float | None = None

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        optional = {"seed": self.seed, "idle_s": self.idle_s}
        present = {name: value for name, value in optional.items() if value is not None}
        return {"refused": self.reason, **present, **self.measured.to_attributes()}


@dataclass(frozen=True)
class Duplicate:
    """A trial that was not trained, since the trial `first` has the same architecture."""

    first: int

    @property
    def reason(self) -> str:
        """A description: "duplicate of trial 3"."""
        return f"duplicate of trial {self.first}"

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        return {"refused": self.reason}


@dataclass(frozen=True)
class Failed:
    """A trial whose training, or whose worker, failed.

    Args:
        reason: what failed, in one line.
        traceback: the whole traceback; empty if there is none. It is written to `error.txt` in the folder of the trial, not to
            the storage.
        seed: the seed of the training; None if it did not start.
        wall_s: seconds from the start of the trial to its failure, all segments together.
        idle_s: seconds that the worker waited for the trial.
        infeasible: the kind of the failure (`failure_kinds.kind_of`), if the architecture is certainly at fault, or
            has failed twice in this way; None: it may be trained another time.
    """

    reason: str
    traceback: str = ""
    seed: int | None = None
    wall_s: float | None = None
    idle_s: float | None = None
    infeasible: str | None = None

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        optional = {"wall_s": self.wall_s, "seed": self.seed, "idle_s": self.idle_s, INFEASIBLE: self.infeasible}
        return {"failure": self.reason, **{name: value for name, value in optional.items() if value is not None}}


@dataclass(frozen=True)
class Interrupted:
    """A trial that has stopped because its driver asked it to: no outcome either, it goes on from its checkpoint.

    Args:
        idle_s: seconds that the worker waited for the trial.
    """

    idle_s: float | None = None


@dataclass(frozen=True)
class MachineFailure:
    """Trouble of the machine during a trial, or what may be that (`nas.evaluation.failures`). The trial stays open.

    Args:
        reason: what failed, in one line.
        is_certain: True if the machine is at fault; False if it may be the architecture.
        traceback: the whole traceback; empty if there is none.
        seed: the seed of the training; None if it did not start.
        wall_s: seconds from the start of the trial to the failure, all segments together.
        idle_s: seconds that the worker waited for the trial.
        measured: the measurements, if the training had ended.
        trained: the result of the training, if it had ended and its weights could not be written.
        infeasible: as in `Failed`, if the architecture is at fault.
    """

    reason: str
    is_certain: bool
    traceback: str = ""
    seed: int | None = None
    wall_s: float | None = None
    idle_s: float | None = None
    measured: Measured = field(default_factory=Measured)
    trained: Trained | None = None
    infeasible: str | None = None

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial: those of a training that had ended, or none."""
        if self.trained is None:
            return {}
        return {"seed": self.seed, **self.measured.to_attributes(), **self.trained.to_attributes()}

    def to_failed(self) -> Failed:
        """The outcome of the trial, if its architecture is at fault."""
        return Failed(self.reason, self.traceback, self.seed, self.wall_s, self.idle_s, self.infeasible)


@dataclass(frozen=True)
class MeasuredOnly:
    """The measurement of a trial that was trained elsewhere (`MeasureTask`): no outcome, but a part of one.

    Args:
        measured: the values; none if the worker's device is of another kind than the study measures on.
        violation: the limit that a value violates; None: there is none.
        idle_s: seconds that the worker waited for the task.
        wall_s: seconds that it took.
    """

    measured: Measured
    violation: str | None = None
    idle_s: float | None = None
    wall_s: float = 0.0

    def completes(self, trained: Completed | Paused) -> Completed | Paused | Refused:
        """The outcome of the trial whose training ended as `trained`."""
        idle_s = trained.idle_s + (self.idle_s or 0.0)
        if self.violation is None:
            measured = trained.trained.with_overhead(self.wall_s)
            return replace(trained, measured=self.measured, trained=measured, idle_s=idle_s)
        return Refused(self.violation, trained.seed, self.measured, idle_s)


WorkerOutcome: TypeAlias = Completed | Paused | Refused | Failed | MachineFailure | Interrupted | MeasuredOnly
"""What a worker returns."""
TrialOutcome: TypeAlias = Completed | Paused | Refused | Failed | Stopped | Duplicate

WORKER_OUTCOMES: Mapping[str, type[WorkerOutcome]] = {
    "completed": Completed,
    "paused": Paused,
    "refused": Refused,
    "failed": Failed,
    "machine_failure": MachineFailure,
    "interrupted": Interrupted,
    "measured": MeasuredOnly,
}
"""The names of what a worker returns."""
_NAMES = {kind: name for name, kind in WORKER_OUTCOMES.items()} | {Stopped: "stopped", Duplicate: "duplicate"}


def name_of(outcome: TrialOutcome | WorkerOutcome) -> str:
    """The name of the kind of `outcome`: "completed", "paused", "stopped", "refused", "duplicate" or "failed".

    Those of what is never stored are "machine_failure", "interrupted" and "measured".
    """
    return _NAMES[type(outcome)]
