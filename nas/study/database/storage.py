"""The Optuna storage of a study, its only state: SQLite in the folder of the study (see `nas/study/layout.py`), or a database
on a server that the folder names (`nas/study/database/storage_url.py`).

User attributes of a trial (all plain JSON; `nas/study/outcomes/records.py` writes and reads them):

    architecture, id      the architecture (`Architecture.to_dict()`) and its canonical id
    macs, fft_flops, params, activation_bytes   exact costs (search_space/costs.py)
    seed                  the seed of its training
    images_per_s, latency_ms, peak_memory_bytes
                          measured values, if an objective or a limit; likewise other registered objectives
    predicted_values      {objective: [value, low, high]}: measured objectives that were predicted and not measured, with the
                          99.9 % interval (nas/study/outcomes/predicted_values.py); missing or null: all were measured
    operator_predictions  {objective: value}: what the operator table predicts (only with `throughput.measure: front`)
    throughput, latency   details of these measurements: interval, batch_size, threads, precision, repeats, drift, clock_mhz, ...;
                          "exclusive": false where a stopped process might have run beside one that should have been alone
    device                the processor or GPU
    curve                 [{"epoch": 1, "train_loss": ..., "val_loss": ..., "val_accuracy": ..., "wall_s": ...}, ...]
    train_s, wall_s       seconds of training steps, and of the whole trial, summed over segments
    overhead_s            the part of wall_s outside epochs (their steps and validation)
    idle_s                seconds that the worker waited for the trial after its last one
    until                 the epoch to pause at, of the last segment (only with a scheduler); the values of the primary
                          objective (accuracy) at rungs are the trial's intermediate values; a trial stopped at a rung is PRUNED
    outcome               "completed", "stopped", "refused", "duplicate" or "failed" (not in studies of version 0.1)
    refused               the reason why it was not trained: "limit macs: 5000 > 4000", "duplicate of trial 3"; its state
                          is PRUNED, that of a duplicate FAIL
    retried_from          the number of the failed trial that this one repeats (`nas search --retry-failed`)
    machine_failure       the reason of a failure that ended a search, and may be the architecture's (nas/driver/suspects.py)
    segments              [{"worker": "HOST/DEVICE/PID", "start", "end", "measure_s", "train_s", "validate_s", "until",
                          "outcome"}, ...]: one entry per segment (`nas/study/segments.py`); older studies have none
    predicted             {primary objective: [median, low, high]}: what the model of the sampler `pareto` expected of the result
                          when it proposed the trial, with the central 68.3 % interval (nas/sampler/prediction.py); none for
                          the first proposals, for enqueued and random trials, and with other samplers
    failure               the reason of the failure, and the file with its traceback; its state is FAIL
    infeasible            the kind of failure (`outcomes/failure_kinds.py`): "out of memory", "loss not finite", ..., if the
                          architecture is certainly at fault, or failed twice in the same way; other failed trials have none. It
                          counts unless another trial repeats this one (`retried_from`)
    losses                [{"at": seconds since 1970, "kind": "worker", "node" or "cluster", "reason"}, ...]: the deaths of
                          workers and the losses of nodes during the trial (nas/driver/suspects.py); missing: there were none
    unmeasured            {"driver", "record"}: a trial that was trained and is not measured (nas/study/outcomes/unmeasured.py);
                          null: it has it
    inherited             {"parent", "file", "epochs", "tensors", "parameters"}: the trial whose weights it has taken over for a
                          short training (nas/study/outcomes/inheritance.py); none for one that was trained from scratch alone
    driver                the driver that runs it, or has run it last (`leases`); null: that driver has left it

User attributes of the study:

    objectives            [{"name": "accuracy", "unit": "", "direction": "maximize", "log": false}, ...] in the order of values
    config                the resolved configuration
    space_size            number of architectures in the space, as text
    dataset               {"name", "fingerprint", "image_size", "in_chans", "num_classes", "class_names",
                          "class_counts": {split: [...]}, "skipped_count", "skipped", "passed_over", "files", "duplicates",
                          "train", "val", "test"}; older studies lack some keys
    start_study           the name of the earlier study (`start.study`) and the time of its first trial, in UTC
    end_reason            why the last search ended before it had its number of trials, if it did
    target                {"trials", "time_budget_s", "since", "workers"}: what the last search aims at, written at its start
    test_accuracy         {trial number as text: accuracy on the test split}, written once for each trial, at the end
    test_confusion        {trial number as text: {"totals": [...], "correct": [...], "confusions": [[class, other, images], ...]}}
                          (`trainers.training.confusion.Confusion`), written with the test accuracy
    notes                 {trial number as text: text}, and
    pins                  [trial number, ...]: what people noted on trials, and pinned (`nas/study/annotations.py`)
    throughput_device     the device of the first measurement, if `throughput.device` names none (nas/study/measuring_device.py)
    environments          [{"since", "mixfront", "python", "torch", ..., "host", "processor", "platform"}, ...]: the versions and
                          the machine of each search that had others than the one before (`nas/study/environment.py`)
    driver:HOST/PID/ID    {"host", "pid", "since", "at", "beats", "index", "interval_s"}: a driver that runs (`leases`)

The names of the objectives are Optuna's metric names, too, so that its own tools show them.

`read_study` reads a copy in memory, which leaves the folder as it is; `open_study` opens the file, to write to it.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy

from nas.errors import UsageError
from nas.objectives import Direction
from nas.study.database.connections import missing_study
from nas.study.database.optuna_storage import StudyStorage
from nas.study.database.server_storage import create_server_study, open_server_study, read_server_study
from nas.study.database.snapshot import check_no_views, copy_to_memory
from nas.study.database.storage_errors import DATABASE_ERRORS, cause, storage_errors
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.write_ahead_log import move_log
from nas.study.layout import DATABASE, holds_study

BUSY_TIMEOUT_S = 60  # the longest time that SQLite waits for another process that writes

_ERRORS = (*DATABASE_ERRORS, RuntimeError, LookupError, TypeError, ValueError)
"""What reading a file raises that is no study, one of another version of Optuna, or one with values that Optuna never writes."""


def open_study(folder: Path, storage: StorageUrl | None = None) -> optuna.Study:
    """Open the Optuna study in `folder`, to continue it.

    Args:
        folder: the folder of the study.
        storage: the URL of the database that the folder names, which may have a password; None: as the folder names it.

    Raises:
        UsageError: `folder` holds no study, or one that cannot be read.
    """
    place = place_of(folder, storage)
    if place is not None:
        return open_server_study(place)
    database = _database(folder)
    with _reading(database):
        with closing(_connect(database)) as connection:
            _check_tables(connection, database)
        return _load(_file_storage(database), database)


def read_study(folder: Path, storage: StorageUrl | None = None) -> optuna.Study:
    """Read the Optuna study in `folder` as it is now, without writing to the folder. The study refuses to be changed.

    Args:
        folder: the folder of the study.
        storage: as for `open_study`.

    Raises:
        UsageError: `folder` holds no study, or one that cannot be read.
    """
    place = place_of(folder, storage)
    if place is not None:
        return read_server_study(place)
    database = _database(folder)
    with _reading(database):
        memory = copy_to_memory(database)
        _check_tables(memory, database)
        pool = {"creator": lambda: memory, "poolclass": sqlalchemy.pool.StaticPool}
        study = _load(optuna.storages.RDBStorage("sqlite://", engine_kwargs=pool), database)
        memory.execute("PRAGMA query_only=ON")  # a change would be lost without a word
        return study


def place_of(folder: Path, storage: StorageUrl | None = None) -> StoragePlace | None:
    """Where the study in `folder` is on a server; None: its database is in the folder, or there is none.

    Args:
        folder: the folder of the study.
        storage: the URL to use, which must be that of the folder but for the password; None: that of the folder.

    Raises:
        UsageError: the study is elsewhere.
    """
    place = StoragePlace.of_folder(folder)
    if storage is None:
        return place
    if place is None and (folder / DATABASE).is_file():
        rule = f"storage: the study in {folder} has its own database, {DATABASE}"
        raise UsageError(f"{rule}, found {storage} (use another --out for another study)")
    if place is not None and place.url != storage:
        rule = f"storage: must stay {place.url} as at the start of the study in {folder}"
        raise UsageError(f"{rule}, found {storage} (use another --out for another study)")
    return None if place is None else StoragePlace(storage, place.name)


def _database(folder: Path) -> Path:
    """The database of the study in `folder`."""
    if not (folder / DATABASE).is_file():
        raise missing_study(folder / DATABASE)
    return folder / DATABASE


@contextmanager
def _reading(database: Path) -> Iterator[None]:
    """Within this block an error of the file `database` is a `UsageError`."""
    try:
        yield
    except _ERRORS as error:
        raise UsageError(f"{database}: cannot be read as a study: {cause(error)}") from None
    except OSError as error:
        raise UsageError(f"{database}: cannot be read: {error.strerror or error}") from None


def _check_tables(connection: sqlite3.Connection, database: Path) -> None:
    """Raise `UsageError` unless there are Optuna's tables; Optuna would create them in any file, even to read it."""
    check_no_views(connection)
    if not connection.execute("SELECT name FROM sqlite_master WHERE name = 'studies'").fetchall():
        raise UsageError(f"{database}: holds no study; remove the folder and search again")


def _load(storage: optuna.storages.RDBStorage, database: Path) -> optuna.Study:
    names = optuna.get_all_study_names(storage)
    if not names:
        raise UsageError(f"{database}: holds no study; remove the folder and search again")
    return optuna.load_study(study_name=names[0], storage=StudyStorage(storage))


def _file_storage(database: Path) -> optuna.storages.RDBStorage:
    """Optuna's storage in the file `database`.

    The file is opened here and not by a URL: in one, `?`, `#` and `%` have a meaning, and for Optuna braces, too.
    """
    pool = {"creator": partial(_connect_to_write, database.resolve()), "poolclass": sqlalchemy.pool.QueuePool}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=pool)


def _connect(database: Path, mode: str = "rw") -> sqlite3.Connection:
    """A connection to the file `database`; in mode "rw" it must exist, in mode "rwc" it is created."""
    url = f"{database.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def _connect_to_write(database: Path) -> sqlite3.Connection:
    """A connection with a write-ahead log: a write takes 1 ms instead of 12, and readers do not wait for the writer."""
    connection = _connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def study_exists(folder: Path) -> bool:
    """True if `folder` is that of a study."""
    return holds_study(folder)


def create_study(
    folder: Path,
    name: str,
    directions: Sequence[Direction],
    attributes: Mapping[str, Any],
    metric_names: Sequence[str] = (),
    first: Sequence[Mapping[str, Any]] = (),
    storage: StorageUrl | None = None,
) -> optuna.Study:
    """Create a study, atomically.

    Args:
        folder: its folder.
        name: its name.
        directions: of its objectives.
        attributes: its user attributes.
        metric_names: the names of its values.
        first: the parameters of its first trials.
        storage: the database that it is created in; None: in the folder.
    """

    def fill(study: optuna.Study) -> None:
        for key, value in attributes.items():
            study.set_user_attr(key, value)
        if metric_names:
            set_metric_names(study, metric_names)
        for params in first:
            study.enqueue_trial(dict(params))

    if storage is not None:
        place = StoragePlace(storage, name)
        with storage_errors(folder):
            study = create_server_study(place, list(directions), fill)
        place.write(folder)
        return study
    _create_file(folder, name, directions, fill)
    return open_study(folder)


def _create_file(
    folder: Path, name: str, directions: Sequence[Direction], fill: Callable[[optuna.Study], None]
) -> None:
    draft = folder / f"{DATABASE}.new"
    draft.unlink(missing_ok=True)
    pool = {"creator": partial(_connect, draft.resolve(), "rwc"), "poolclass": sqlalchemy.pool.QueuePool}
    try:
        with storage_errors(folder):
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=pool)
            fill(optuna.create_study(storage=storage, study_name=name, directions=directions))
            storage.engine.dispose()
        draft.replace(folder / DATABASE)
    finally:
        draft.unlink(missing_ok=True)


def set_metric_names(study: optuna.Study, names: Sequence[str]) -> None:
    """Name the values of `study` for Optuna's own tools, unless they have names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if study.metric_names is None:
            study.set_metric_names(list(names))


def write_attributes(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Write user attributes of the study in `folder`, and close the file, which then has all that was written.

    Raises:
        UsageError: `folder` holds no study.
        MachineError: the database cannot be written, as on a full disk.
    """
    place = place_of(folder)
    if place is not None:
        with storage_errors(folder):
            study = open_server_study(place)
            for key, value in attributes.items():
                study.set_user_attr(key, value)
        return
    database = _database(folder)
    with storage_errors(folder):
        storage = _file_storage(database)
        try:
            study = _load(storage, database)
            for key, value in attributes.items():
                study.set_user_attr(key, value)
        finally:
            storage.remove_session()
            storage.engine.dispose()
        with closing(_connect(database)) as connection:
            move_log(connection)
