"""Optuna's storage for a search of many trials: the same tables and the same results, at a cost that does not grow.

Optuna 5 reads trials through SQLAlchemy's object mapper (13 s of CPU for 10,000), reads every running trial again at each
`Study.ask` and `get_trials`, commits each parameter and each attribute on its own (about 40 transactions a trial), and keeps
all that it has read (20 kB a trial). `StudyStorage` replaces `_CachedStorage`, the cache that Optuna puts before each
`RDBStorage`:

- It reads by plain SQL, and again only what may have changed: what this process has written, and, if another one may have
  written, also the trials that had not ended. SQLite tells (`PRAGMA data_version`); on a server this is always assumed.
- It keeps ended trials, which never change, in a compact form (`nas.study.stored_trial`).
- Within `writing_together` the writes to trials become one transaction.

All uses of private parts of Optuna's storages are in this module and in `stored_trial`: `_CachedStorage` (its methods
`_read_trials_from_remote_storage` and `_add_trials_to_cache`, its attributes `_backend`, `_studies` and `_lock`), `_StudyInfo`,
and the tables in `optuna.storages._rdb.models`. `tests/nas/study/test_optuna_storage.py` compares it with Optuna's own.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from nas.study.stored_trial import ParameterTable, StoredTrial
from nas.study.trial_rows import TrialRows
from nas.study.trial_writes import TrialWrites, utc_now

DATA_VERSION = "mixfront data_version"
"""The key under which a connection to SQLite keeps the last `PRAGMA data_version`."""

_TRIALS = models.TrialModel.__table__
_STUDIES = models.StudyModel.__table__


@dataclass
class _Progress:
    """How far the trials of a study were read."""

    table: ParameterTable = field(default_factory=ParameterTable)
    open: dict[int, int] = field(default_factory=dict)
    """Id of each trial that had not ended -> its number."""
    written: set[int] = field(default_factory=set)
    """Those of them that this process has written to since."""
    last_id: int = -1
    has_new: bool = True
    """Trials with higher ids may exist."""


class StudyStorage(_CachedStorage):
    """See the module. `optuna.load_study(study_name=..., storage=StudyStorage(RDBStorage(url)))` uses it.

    Args:
        backend: the storage to read from and to write to. For SQLite its pool should have `pool_use_lifo`: what one connection
            writes looks to another one as if another process had written it.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._lock = threading.RLock()  # type: ignore[assignment]
        self._progress: dict[int, _Progress] = {}  # by study
        self._thread = threading.local()

    # --- writing

    @contextmanager
    def writing_together(self) -> Iterator[None]:
        """All writes to trials within this block become one transaction at its end; nothing is written if the block raises.

        Reads within the block see them. A trial that is created or started within the block ends the transaction so far. If the
        transaction fails, `optuna.Trial` objects have what the storage does not have: open such trials again.
        """
        if self._pending is not None:
            yield  # within another block
            return
        self._thread.writes = TrialWrites()
        try:
            yield
            self._commit()
        finally:
            self._thread.writes = None

    @property
    def _pending(self) -> TrialWrites | None:
        """The writes of the block that this thread is in."""
        writes: TrialWrites | None = getattr(self._thread, "writes", None)
        return writes

    @contextmanager
    def _block(self) -> Iterator[TrialWrites]:
        with self.writing_together():
            yield self._thread.writes

    def _commit(self) -> None:
        """Make the writes of the block so far."""
        writes = self._pending
        if writes is None or not writes.trials:
            return
        self._thread.writes = TrialWrites()
        try:
            with self._backend.engine.begin() as connection:
                writes.apply(connection)
        finally:  # a commit that fails may have been made
            with self._lock:
                for progress in self._progress.values():
                    progress.written |= writes.trials & progress.open.keys()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial; it runs unless the template says otherwise."""
        self._commit()
        with self._lock:
            self._progress_of(study_id).has_new = True
        if template_trial is not None:
            return self._backend.create_new_trial(study_id, template_trial)
        trial = {"study_id": study_id, "state": TrialState.RUNNING, "datetime_start": utc_now()}
        with self._backend.engine.begin() as connection:
            # Creations wait for one another: numbers have no gaps, and ids ascend in the order of commits.
            lock = sqlalchemy.select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id).with_for_update()
            if connection.execute(lock).first() is None:
                raise KeyError(models.NOT_FOUND_MSG)
            trial_id = connection.execute(sqlalchemy.insert(_TRIALS), trial).inserted_primary_key[0]
            earlier = sqlalchemy.select(_TRIALS.c.number).where(
                _TRIALS.c.study_id == study_id, _TRIALS.c.trial_id < trial_id
            )
            last = connection.execute(earlier.order_by(_TRIALS.c.trial_id.desc()).limit(1)).first()
            number = 0 if last is None else last[0] + 1
            update = sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id == trial_id)
            connection.execute(update.values({"number": number}))
        return int(trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Store a parameter of a trial; its distribution must be compatible with that of other trials."""
        with self._lock:
            study_id = self._study_of(trial_id)
            progress = self._progress_of(study_id)
            if progress.has_new:
                self._read_trials_from_remote_storage(study_id)
            previous = progress.table.distribution(param_name)
            if previous is not None:
                check_distribution_compatibility(previous, distribution)
        with self._block() as writes:
            writes.params[trial_id, param_name] = (param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store a user attribute of a trial."""
        with self._block() as writes:
            writes.user_attrs[trial_id, key] = json.dumps(value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store one of Optuna's own attributes of a trial."""
        with self._block() as writes:
            writes.system_attrs[trial_id, key] = json.dumps(value)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Store an intermediate value of a trial."""
        with self._block() as writes:
            writes.intermediate_values[trial_id, step] = intermediate_value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Store the state of a trial and its values; False if it should start and has been started by another process."""
        if state.is_finished():
            with self._block() as writes:
                writes.ends[trial_id] = (state, None if values is None else list(values))
            return True
        self._commit()
        with self._lock:
            self._progress_of(self._study_of(trial_id)).written.add(trial_id)
        return self._backend.set_trial_state_values(trial_id, state, values)

    # --- reading

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial of an id, as the storage and the block that this thread is in have it."""
        with self._lock:
            study_id = self._study_of(trial_id)
            self._read_trials_from_remote_storage(study_id)
            number = self._progress_of(study_id).open.get(trial_id)
            if number is not None:
                return self._with_pending(_copied(self._info(study_id).trials[number]))
            with self._backend.engine.connect() as connection:
                (trial,) = self._rows(connection, study_id).of_ids([trial_id])
            return trial

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study in the given states, by number."""
        with self._lock:
            self._read_trials_from_remote_storage(study_id)
            trials = self._info(study_id).trials
            if states is not None and not any(state in states for state in TrialState if state.is_finished()):
                chosen = [trials[number] for number in sorted(self._progress_of(study_id).open.values())]
            else:
                chosen = list(trials.values())
            writes = self._pending
            if writes is not None and (changed := writes.trials):
                chosen = [self._with_pending(_copied(t)) if t._trial_id in changed else t for t in chosen]
            if states is not None:
                chosen = [trial for trial in chosen if trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of a trial."""
        with self._lock:
            trial = self._info(study_id).trials.get(trial_number)
        if trial is not None:
            return trial._trial_id
        return self._backend.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def delete_study(self, study_id: int) -> None:
        """Delete a study with its trials."""
        with self._lock:
            self._studies.pop(study_id, None)
            self._progress.pop(study_id, None)
        self._backend.delete_study(study_id)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        with self._lock, self._backend.engine.connect() as connection:
            progress, rows = self._progress_of(study_id), self._rows(connection, study_id)
            version = _data_version(connection)
            if version is None or version != connection.info.get((DATA_VERSION, study_id)):
                reread, has_new = set(progress.open), True
            else:
                reread, has_new = progress.written & progress.open.keys(), progress.has_new
            trials = rows.of_ids(list(reread)) if reread else []
            trials += rows.newer(study_id, progress.last_id) if has_new else []
            self._keep(study_id, trials, reread)
            progress.written.clear()
            progress.has_new = False
            connection.info[DATA_VERSION, study_id] = version

    def _keep(self, study_id: int, trials: Sequence[FrozenTrial], reread: set[int]) -> None:
        """Keep `trials`, which were just read; those of `reread` that are not among them were removed."""
        progress, info = self._progress_of(study_id), self._info(study_id)
        for removed in reread - {trial._trial_id for trial in trials}:
            info.trials.pop(progress.open.pop(removed), None)
        last_number = next(reversed(info.trials), -1)
        is_sorted = True
        for trial in trials:
            is_sorted &= trial.number in info.trials or trial.number > last_number
            last_number = max(last_number, trial.number)
            info.trials[trial.number] = trial
            progress.last_id = max(progress.last_id, trial._trial_id)
            if trial.state.is_finished():
                progress.open.pop(trial._trial_id, None)
            else:
                progress.open[trial._trial_id] = trial.number
        if not is_sorted:
            info.trials = dict(sorted(info.trials.items()))

    def _study_of(self, trial_id: int) -> int:
        """The study of a trial.

        Raises:
            KeyError: there is no such trial.
        """
        for study_id, progress in self._progress.items():
            if trial_id in progress.open:
                return study_id
        with self._backend.engine.connect() as connection:
            study = TrialRows(connection, ParameterTable(), self._load).study_of(trial_id)
        if study is None:
            raise KeyError(models.NOT_FOUND_MSG)
        return study

    def _progress_of(self, study_id: int) -> _Progress:
        return self._progress.setdefault(study_id, _Progress())

    def _info(self, study_id: int) -> _StudyInfo:
        return self._studies.setdefault(study_id, _StudyInfo())

    def _rows(self, connection: sqlalchemy.Connection, study_id: int) -> TrialRows:
        return TrialRows(connection, self._progress_of(study_id).table, self._load)

    def _load(self, trial_id: int) -> dict[str, Any]:
        """All user attributes of a trial."""
        with self._backend.engine.connect() as connection:
            return TrialRows(connection, ParameterTable(), self._load).user_attributes(trial_id)

    def _with_pending(self, trial: FrozenTrial) -> FrozenTrial:
        """`trial` with the writes of the block that this thread is in."""
        if self._pending is not None:
            self._pending.show(trial)
        return trial


def writing_together(study: optuna.Study) -> AbstractContextManager[None]:
    """A block in which all writes to trials of `study` become one transaction (`StudyStorage.writing_together`).

    With another storage, such as that in memory, each is written on its own.
    """
    storage = study._storage
    return storage.writing_together() if isinstance(storage, StudyStorage) else nullcontext()


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """A copy of which parameters, attributes and intermediate values may be set."""
    if isinstance(trial, StoredTrial):
        return trial.thawed()
    copied = copy.copy(trial)
    copied.params, copied.distributions = dict(trial.params), dict(trial.distributions)
    copied.user_attrs, copied.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    copied.intermediate_values = dict(trial.intermediate_values)
    return copied


def _data_version(connection: sqlalchemy.Connection) -> int | None:
    """Changes if another connection has changed the database; None: the database does not tell."""
    if connection.dialect.name != "sqlite":
        return None
    return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())
