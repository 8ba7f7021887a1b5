"""The trials of a study in its database, by plain SQL: each step of a driver is one transaction.

The statements are those of Optuna's own schema (`nas/study/database/tables.py`). `nas/study/database/trial_writer.py` writes the
rows of trials.
"""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.trial import TrialState

from nas import objectives
from nas.study.database.connections import Query, Row
from nas.study.database.drivers import DRIVER
from nas.study.database.leases import Leases, SharedLeases, SoleLeases
from nas.study.database.optuna_adapter import open_buffered_trial, tell_sampler
from nas.study.database.storage_errors import DATABASE_ERRORS, cause
from nas.study.database.storage_url import StoragePlace
from nas.study.database.tables import chunks, trial_rows, trial_rows_of_ids
from nas.study.database.transactions import FileTransactions, ServerTransactions, StudyTransactions
from nas.study.database.trial_store import Lease, OpenTrial, Transaction, TrialChange
from nas.study.database.trial_writer import TrialWriter
from nas.study.layout import DATABASE
from nas.study.outcomes.predicted_values import OPERATOR_PREDICTIONS, PREDICTED_VALUES
from nas.study.outcomes.records import OUTCOME
from nas.study.outcomes.unmeasured import UNMEASURED
from nas.study.trial_record import FIXED_PARAMS, NO_ATTRIBUTES, LazyAttributes, TrialRecord
from nas.study.trials import RETRIED_FROM

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

OPEN_STATES = ("RUNNING", "WAITING")
READ = (
    *("id", "until", DRIVER, OUTCOME, "refused", RETRIED_FROM, "losses", UNMEASURED),
    *(PREDICTED_VALUES, OPERATOR_PREDICTIONS),
)
"""User attributes that drivers decide by, besides those of objectives and, at a rung, the learning curve."""
DECISIVE = ("id", "until", DRIVER)
"""User attributes of a trial that runs, by which drivers decide; a change of others is not looked for."""


@contextmanager
def driving(
    study: optuna.Study, folder: Path, place: StoragePlace | None, driver: str | None = None
) -> Iterator[DatabaseTrials]:
    """The trials of the `study` in `folder`, which this process drives within the block.

    Args:
        study: the Optuna study.
        folder: its folder, locked if the database is in it.
        place: where the study is on a server; None: in the folder.
        driver: the id of this driver; None: a new one.

    Raises:
        StorageError: the storage cannot be read or written.
    """
    with ExitStack() as stack:
        leases: SoleLeases | SharedLeases
        if place is None:
            transactions = FileTransactions(folder / DATABASE)
            stack.callback(transactions.move_log)
            leases = SoleLeases(transactions, driver)
        else:
            leases = SharedLeases(ServerTransactions(place), driver=driver)
        stack.enter_context(leases.held())
        yield DatabaseTrials(study, leases.transactions, leases)


class DatabaseTrials:
    """The trials of a study in its database (`nas.study.database.trial_store.TrialStore`).

    Args:
        study: the Optuna study.
        transactions: those on its database.
        leases: what is known of its drivers.
    """

    def __init__(self, study: optuna.Study, transactions: StudyTransactions, leases: Leases) -> None:
        self.study = study
        self.transactions = transactions
        self.leases = leases
        self.is_shared = leases.is_shared
        self.driver = leases.driver
        self.poll_s = leases.poll_s
        self.ids: dict[int, int] = {}
        """Number of a trial -> its id in the database."""
        self.waiting: dict[int, int] = {}
        """The numbers and ids of the trials that wait, but for those that repeat others."""
        self._last_id = -1  # of the trials that were read
        self._open: dict[int, object] = {}  # id of a trial that has not ended -> its digest
        self._created: set[int] = set()  # ids

    @property
    def index(self) -> int:
        """That of this driver."""
        return self.leases.index

    def read(self) -> Sequence[TrialRecord]:
        """The trials that are new or that others have changed."""
        before = self._last_id, self._open, self._created
        try:
            return self.transactions.unlocked(self.read_changes)
        except BaseException:  # it may have failed at its end: the next call reads them again
            self._last_id, self._open, self._created = before
            raise

    def transact(self, step: Callable[[Transaction], Result]) -> Result:
        """Do a `step`."""

        def run(query: Query) -> tuple[Result, dict[int, int]]:
            transaction = _SqlTransaction(self, query)
            return step(transaction), transaction.created

        result, created = self.transactions.locked(run)
        self.ids |= created
        self._created |= set() if self.is_shared else set(created.values())
        return result

    def open(self, number: int) -> OpenTrial:
        """Open the trial `number`; its parameters are written with the next change."""
        trial, params = open_buffered_trial(self.study, self.ids[number])
        return OpenTrial(self, number, trial, params)

    def close(self, trial: OpenTrial, state: TrialState, values: Sequence[float] | None = None) -> None:
        """Tell the sampler. The end of the trial is written already, so that a storage that is away now is no error."""
        try:
            tell_sampler(self.study, trial.trial, state, values)
        except DATABASE_ERRORS as error:
            logger.info("trial %d: the sampler cannot store what it makes of its end: %s", trial.number, cause(error))

    def may_take(self, number: int, driver: str | None) -> bool:
        """See `nas.study.database.leases.Leases`."""
        return self.leases.may_take(number, driver)

    def is_heard(self, driver: str | None, since_s: float) -> bool:
        """See `nas.study.database.leases.Leases`."""
        return self.leases.is_heard(driver, since_s)

    def now_s(self) -> float:
        """See `nas.study.database.leases.Leases`."""
        return self.leases.now_s()

    def read_changes(self, query: Query) -> Sequence[TrialRecord]:
        """As `read`, within a transaction."""
        new = trial_rows(query, self.transactions.study, self._last_id, None)
        opened, changed = self._open, list[Row]()
        if self.is_shared:
            opened, changed = self._changes(query, [*self._open, *(row[0] for row in new if row[2] in OPEN_STATES)])
        known = {row[0] for row in changed} | self._created
        records = _records(query, [*changed, *(row for row in new if row[0] not in known)])
        self._last_id, self._open = new[-1][0] if new else self._last_id, opened  # once nothing more can fail
        self._created = {trial for trial in self._created if trial > self._last_id}
        self.ids |= {row[1]: row[0] for row in new}
        for record in records:
            if record.state == TrialState.WAITING and RETRIED_FROM not in record.user_attrs:
                self.waiting[record.number] = self.ids[record.number]
            else:
                self.waiting.pop(record.number, None)
        return records

    def _changes(self, query: Query, ids: Sequence[int]) -> tuple[dict[int, object], list[Row]]:
        """The digests of those of the trials `ids` that have not ended, and the rows of those that have changed."""
        rows = trial_rows_of_ids(query, ids)
        digests: dict[int, list[Any]] = {row[0]: [row[2]] for row in rows}
        names = ", ".join(f"'{name}'" for name in DECISIVE)
        for chosen in chunks(ids):
            marks = ", ".join("?" * len(chosen))
            where = f"WHERE trial_id IN ({marks})"
            attributes = query(
                f"SELECT trial_id, key, value_json FROM trial_user_attributes {where} AND key IN ({names})"
                " ORDER BY trial_id, key",
                chosen,
            )
            steps = query(
                f"SELECT trial_id, step FROM trial_intermediate_values {where} ORDER BY trial_id, step", chosen
            )
            for trial, *value in (*attributes, *steps):
                digests[trial].append(value)
        changed = [row for row in rows if self._open.get(row[0]) != digests[row[0]]]
        return {row[0]: digests[row[0]] for row in rows if row[2] in OPEN_STATES}, changed


def _records(query: Query, rows: Sequence[Row]) -> list[TrialRecord]:
    """The trials of `rows`, with what drivers decide by."""
    return [record for chosen in chunks(rows) for record in _chunk_records(query, chosen)]


def _chunk_records(query: Query, rows: Sequence[Row]) -> Iterator[TrialRecord]:
    ids = [row[0] for row in rows]
    where = f"WHERE trial_id IN ({', '.join('?' * len(ids))})"
    values: defaultdict[int, list[float]] = defaultdict(list)
    for trial, value in query(f"SELECT trial_id, value FROM trial_values {where} ORDER BY trial_id, objective", ids):
        values[trial].append(math.nan if value is None else value)
    steps: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for trial, step, value in query(
        f"SELECT trial_id, step, intermediate_value FROM trial_intermediate_values {where} ORDER BY trial_id, step", ids
    ):
        steps[trial][step] = math.nan if value is None else value
    attributes: defaultdict[int, dict[str, str]] = defaultdict(dict)
    names = (*READ, *objectives.names())
    paused = list(steps)
    curves = f" OR (key = 'curve' AND trial_id IN ({', '.join('?' * len(paused))}))" if paused else ""
    condition = f"(key IN ({', '.join('?' * len(names))}){curves})"
    for trial, name, text in query(
        f"SELECT trial_id, key, value_json FROM trial_user_attributes {where} AND {condition}", [*ids, *names, *paused]
    ):
        attributes[trial][name] = text
    for trial, number, state, *_ in rows:
        texts = LazyAttributes(attributes[trial])
        yield TrialRecord(
            number, TrialState[state], values.get(trial), {}, texts, NO_ATTRIBUTES, steps.get(trial, {}), None, None
        )


class _SqlTransaction:
    """A step of a driver (`nas.study.database.trial_store.Transaction`)."""

    def __init__(self, trials: DatabaseTrials, query: Query) -> None:
        self._trials = trials
        self._query = query
        self._writer = TrialWriter(query, trials.transactions)
        self.created: dict[int, int] = {}

    def read(self) -> Sequence[TrialRecord]:
        return self._trials.read_changes(self._query)

    def look(self) -> None:
        self._trials.leases.observe(self._query)

    def create(self, params: Mapping[str, Any] | None = None) -> int:
        for waiting in () if params is not None else sorted(self._trials.waiting):
            if self.start(waiting):
                return waiting
        number, trial = self._writer.create()
        self.created[number] = trial
        if params is not None:
            self._writer.set_system_attributes(trial, {FIXED_PARAMS: dict(params)})
        self.take(number)
        return number

    def start(self, number: int) -> bool:
        started = self._writer.start(self._id(number))
        if started:
            self.take(number)
        return started

    def take(self, number: int) -> None:
        self._writer.set_user_attributes(self._id(number), {DRIVER: self._trials.driver})

    def lease(self, number: int) -> Lease:
        trial = self._id(number)
        ((state,),) = self._query("SELECT state FROM trials WHERE trial_id = ?", (trial,))
        rows = self._query(
            "SELECT value_json FROM trial_user_attributes WHERE trial_id = ? AND key = ?", (trial, DRIVER)
        )
        if not rows or rows[0][0] != json.dumps(self._trials.driver):
            return Lease.LOST
        return Lease.HELD if state == "RUNNING" else Lease.ENDED

    def write(self, number: int, change: TrialChange) -> None:
        self._writer.write(self._id(number), change)

    def _id(self, number: int) -> int:
        return self.created[number] if number in self.created else self._trials.ids[number]
