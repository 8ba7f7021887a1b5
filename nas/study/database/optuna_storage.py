"""Optuna's storage for a search of many trials: the same tables and the same trials, in less time and memory.

Optuna 5 reads trials through SQLAlchemy's object mapper: 13 s of CPU for 10,000, and then 1 ms for each trial that runs, twice
for every proposal. It keeps all that it has read, 20 kB a trial. `StudyStorage` replaces `_CachedStorage`, the cache that Optuna
puts before each `RDBStorage`: it reads by plain SQL, and keeps trials in the compact form of `nas.study.database.stored_trial`.
Trials that have ended never change, so they are read once. It writes as Optuna does.

All uses of private parts of Optuna's storages are in this module: `_CachedStorage` (its attributes `_backend`, `_studies` and
`_lock`), `RDBStorage._set_trial_param`. `tests/nas/study/test_optuna_storage.py` compares it with Optuna's own.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from nas.study.database.stored_trial import ParameterTable, StoredTrial
from nas.study.database.trial_rows import TrialRows


@dataclass
class _StudyTrials:
    """The trials of a study that were read.

    Args:
        trials: by number.
        open: id of each trial that had not ended -> its number.
        last_id: the highest id.
        table: what the packed parameters of trials mean.
    """

    trials: dict[int, StoredTrial] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)
    last_id: int = -1
    table: ParameterTable = field(default_factory=ParameterTable)

    def update(self, rows: TrialRows, study_id: int) -> None:
        """Read the trials that are new, and those that had not ended."""
        reread = rows.of_ids(list(self.open)) if self.open else []
        for removed in self.open.keys() - {trial._trial_id for trial in reread}:
            self.trials.pop(self.open.pop(removed), None)
        new = rows.newer(study_id, self.last_id)
        numbers = [next(reversed(self.trials), -1), *(trial.number for trial in new)]
        for trial in (*reread, *new):
            self.trials[trial.number] = trial
            if trial.state.is_finished():
                self.open.pop(trial._trial_id, None)
            else:
                self.open[trial._trial_id] = trial.number
        self.last_id = new[-1]._trial_id if new else self.last_id
        if numbers != sorted(numbers):
            self.trials = dict(sorted(self.trials.items()))


class StudyStorage(_CachedStorage):
    """See the module. `optuna.load_study(study_name=..., storage=StudyStorage(RDBStorage(url)))` uses it.

    Args:
        backend: the storage to read from and to write to.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._read: dict[int, _StudyTrials] = {}  # by study

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial; it runs unless the template says otherwise."""
        return self._backend.create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Store a parameter of a trial; its distribution must be compatible with that of other trials."""
        previous = (read.table.distribution(param_name) for read in self._read.values() if trial_id in read.open)
        self._backend._set_trial_param(trial_id, param_name, param_value_internal, distribution, next(previous, None))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial of an id; the caller may change it.

        Raises:
            KeyError: there is no such trial.
        """
        with self._backend.engine.connect() as connection:
            trials = TrialRows(connection, ParameterTable(), self._load).of_ids([trial_id])
        if not trials:
            return self._backend.get_trial(trial_id)  # raises
        return trials[0].thawed()

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study in the given states, by number. Those that are no copies must not be changed."""
        with self._lock, self._backend.engine.connect() as connection:
            read = self._read.setdefault(study_id, _StudyTrials())
            read.update(TrialRows(connection, read.table, self._load), study_id)
            if states is None:
                trials: list[FrozenTrial] = list(read.trials.values())
            elif not any(state in states for state in TrialState if state.is_finished()):
                trials = [read.trials[number] for number in sorted(read.open.values())]
                trials = [trial for trial in trials if trial.state in states]
            else:
                trials = [trial for trial in read.trials.values() if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of a trial.

        Raises:
            KeyError: there is no such trial.
        """
        with self._lock:
            read = self._read.get(study_id)
            trial = None if read is None else read.trials.get(trial_number)
        if trial is not None:
            return trial._trial_id
        return self._backend.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def delete_study(self, study_id: int) -> None:
        """Delete a study with its trials."""
        with self._lock:
            self._read.pop(study_id, None)
        super().delete_study(study_id)

    def _load(self, trial_id: int) -> dict[str, Any]:
        """All user attributes of a trial."""
        with self._backend.engine.connect() as connection:
            return TrialRows(connection, ParameterTable(), self._load).user_attributes(trial_id)
