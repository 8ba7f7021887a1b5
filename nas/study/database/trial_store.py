"""What a driver reads and writes of the trials of its study.

`transact` is one step that no other driver disturbs: within it a driver reads what others have changed, decides, and writes.
A step is all or nothing, and may be repeated: one whose answer was lost finds what it has written.

`OptunaTrials` works on any Optuna study, through Optuna's own interface, for a driver that is alone. `DatabaseTrials`
(`nas/study/database/trial_database.py`) writes each step in one transaction, and serves several drivers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

import optuna
from optuna.trial import TrialState

from nas.study.database.optuna_adapter import Params, open_trial, set_intermediate_value, start_trial, trial_of_number
from nas.study.trials import AnyTrial

Result = TypeVar("Result")


@dataclass(frozen=True)
class TrialChange:
    """What is written of a trial at once.

    Args:
        attributes: user attributes.
        constraints: Optuna's constraints.
        params: parameters that are not written yet.
        intermediate: an epoch, and the value of the primary objective after it.
        state: the state in which the trial ends; None: it goes on.
        values: of the objectives, if it is complete.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    params: Params = field(default_factory=dict)
    intermediate: tuple[int, float] | None = None
    state: TrialState | None = None
    values: Sequence[float] | None = None


class Lease(Enum):
    """Whose a trial is."""

    HELD = "held"  # it runs, and is this driver's
    ENDED = "ended"  # this driver has ended it
    LOST = "lost"  # another driver has adopted it


class Transaction(Protocol):
    """A step of a driver."""

    def read(self) -> Sequence[AnyTrial]:
        """The trials that are new or that others have changed since the last call (the first: all)."""
        ...

    def create(self, params: Mapping[str, Any] | None = None) -> int:
        """Start a trial: with these `params`, or else the first that waits, or else a new one. Returns its number."""
        ...

    def start(self, number: int) -> bool:
        """Start the trial `number`, which waits; False: it does not wait any more."""
        ...

    def take(self, number: int) -> None:
        """Make the trial `number`, which runs, that of this driver."""
        ...

    def lease(self, number: int) -> Lease:
        """Whose the trial `number` is."""
        ...

    def write(self, number: int, change: TrialChange) -> None:
        """Write to the trial `number`, which runs."""
        ...

    def look(self) -> None:
        """Look which drivers live."""
        ...


class OpenTrial:
    """A trial that has not ended and that this driver owns.

    Args:
        store: where it is written.
        number: its number.
        trial: Optuna's trial, which suggests parameters.
        params: the parameters that it has suggested and that are not written.
    """

    def __init__(self, store: TrialStore, number: int, trial: optuna.Trial, params: Params) -> None:
        self._store = store
        self.number = number
        self.trial = trial
        self.params = params
        self.user_attrs: dict[str, Any] = trial.user_attrs
        """The user attributes, without those that other drivers have written since."""

    def set_user_attr(self, name: str, value: Any) -> None:
        """Write a user attribute, unless another driver has adopted the trial."""

        def write(transaction: Transaction) -> None:
            if transaction.lease(self.number) is Lease.HELD:
                transaction.write(self.number, TrialChange({name: value}))

        self._store.transact(write)
        self.user_attrs[name] = value


class TrialStore(Protocol):
    """The trials of a study."""

    @property
    def study(self) -> optuna.Study:
        """The Optuna study."""
        ...

    @property
    def is_shared(self) -> bool:
        """True if other drivers may run trials of the study."""
        ...

    @property
    def driver(self) -> str | None:
        """The id of this driver; None: trials do not name it."""
        ...

    @property
    def index(self) -> int:
        """Differs from those of the other drivers that run; it makes their random draws differ."""
        ...

    @property
    def poll_s(self) -> float:
        """Interval at which a driver that has nothing to do looks for work that others have left."""
        ...

    def read(self) -> Sequence[AnyTrial]:
        """As `Transaction.read`, without excluding others."""
        ...

    def transact(self, step: Callable[[Transaction], Result]) -> Result:
        """Do a `step`, which may be called again.

        Raises:
            StorageError: the storage cannot be read or written.
        """
        ...

    def open(self, number: int) -> OpenTrial:
        """Open the trial `number`, which runs and is this driver's."""
        ...

    def close(self, trial: OpenTrial, state: TrialState, values: Sequence[float] | None = None) -> None:
        """Tell the sampler that `trial` has ended."""
        ...

    def may_take(self, number: int, driver: str | None) -> bool:
        """True if the trial `number`, which `driver` runs, may be adopted now."""
        ...

    def is_heard(self, driver: str | None, since_s: float) -> bool:
        """True if `driver` is known to have lived after the time `since_s` of `now_s`."""
        ...

    def now_s(self) -> float:
        """The time by a monotonic clock."""
        ...


class OptunaTrials:
    """The trials of any Optuna study, for a driver that is alone.

    Args:
        study: the study.
    """

    is_shared = False
    driver = None
    index = 0
    poll_s = 0.0

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self._was_read = False
        self._asked: dict[int, optuna.Trial] = {}

    def read(self) -> Sequence[AnyTrial]:
        """All trials at the first call; then none, for nobody else writes."""
        trials = [] if self._was_read else self.study.get_trials(deepcopy=False)
        self._was_read = True
        return trials

    def look(self) -> None:
        """There are no other drivers."""

    def transact(self, step: Callable[[Transaction], Result]) -> Result:
        """Do a `step`."""
        return step(self)

    def create(self, params: Mapping[str, Any] | None = None) -> int:
        """Start a trial."""
        if params is not None:
            self.study.enqueue_trial(dict(params))
        trial = self.study.ask()
        self._asked[trial.number] = trial
        return trial.number

    def start(self, number: int) -> bool:
        """Start the trial `number`, which waits."""
        self._asked[number] = start_trial(self.study, trial_of_number(self.study, number))
        return True

    def take(self, number: int) -> None:
        """It is this driver's already."""

    def lease(self, number: int) -> Lease:
        """Every trial is this driver's."""
        return Lease.HELD

    def write(self, number: int, change: TrialChange) -> None:
        """Write to the trial `number`."""
        trial = self._trial(number)
        for name, value in change.attributes.items():
            trial.set_user_attr(name, value)
        for name, excess in change.constraints.items():
            trial.set_constraint(name, excess)
        if change.intermediate is not None:
            set_intermediate_value(self.study, trial, *change.intermediate)
        if change.state is not None:
            self.study.tell(trial, None if change.values is None else list(change.values), state=change.state)
            del self._asked[number]

    def open(self, number: int) -> OpenTrial:
        """Open the trial `number`."""
        return OpenTrial(self, number, self._trial(number), {})

    def close(self, trial: OpenTrial, state: TrialState, values: Sequence[float] | None = None) -> None:
        """The sampler was told when the end was written."""

    def may_take(self, number: int, driver: str | None) -> bool:
        """True: an earlier driver has left it."""
        return True

    def is_heard(self, driver: str | None, since_s: float) -> bool:
        """There are no other drivers."""
        return True

    def now_s(self) -> float:
        """The time by the monotonic clock of this process."""
        return time.monotonic()

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._asked:
            self._asked[number] = open_trial(self.study, trial_of_number(self.study, number))
        return self._asked[number]
