"""The Optuna storage of a study, its only state: SQLite in the folder of the study (see `nas/study/layout.py`).

User attributes of a trial (all plain JSON; `nas/study/records.py` writes and reads them):

    architecture, id      the architecture (`Architecture.to_dict()`) and its canonical id
    macs, fft_flops, params, activation_bytes   exact costs (search_space/costs.py)
    seed                  the seed of its training
    images_per_s, latency_ms, peak_memory_bytes
                          measured before training, if an objective or a limit; likewise other registered objectives
    throughput, latency   details of these measurements: interval, batch_size, threads, precision, repeats, drift, clock_mhz, ...
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
    failure               the reason of the failure, and the file with its traceback; its state is FAIL

User attributes of the study:

    objectives            [{"name": "accuracy", "unit": "", "direction": "maximize", "log": false}, ...] in the order of values
    config                the resolved configuration
    space_size            number of architectures in the space, as text
    dataset               {"name", "fingerprint", "image_size", "in_chans", "num_classes", "class_names",
                          "skipped_count", "skipped", "duplicates", "class_counts", "train", "val", "test"}
    test_accuracy         {trial number as text: accuracy on the test split}, written once for each trial, at the end
    test_confusion        {trial number as text: {"totals": [...], "correct": [...], "confusions": [[class, other, images], ...]}}
                          (`trainers.training.confusion.Confusion`), written with the test accuracy
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy

from nas.errors import UsageError
from nas.objectives import Direction
from nas.study.layout import DATABASE

BUSY_TIMEOUT_S = 60  # the longest time that SQLite waits for another process that writes


def storage_url(folder: Path) -> str:
    """The URL of the storage in `folder`."""
    return f"sqlite:///{(folder / DATABASE).resolve()}"


def open_study(folder: Path) -> optuna.Study:
    """Open the Optuna study in `folder`, to read or continue it.

    Raises:
        UsageError: `folder` holds no study, or one that cannot be read.
    """
    if not (folder / DATABASE).is_file():
        raise UsageError(f"{folder}: holds no study ({DATABASE} is missing); `nas search --out {folder}` starts one")
    try:
        if not _holds_studies(folder / DATABASE):
            raise UsageError(f"{folder / DATABASE}: holds no study; remove the folder and search again")
        storage = optuna.storages.RDBStorage(
            storage_url(folder), engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}}
        )
        sqlalchemy.event.listen(storage.engine, "connect", _use_write_ahead_log)
        storage.engine.dispose()  # closes the connection that was opened before the listener
        names = optuna.get_all_study_names(storage)
    except (
        sqlite3.DatabaseError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        RuntimeError,
    ) as error:
        raise UsageError(f"{folder / DATABASE}: cannot be read as a study: {_cause(error)}") from None
    if not names:
        raise UsageError(f"{folder / DATABASE}: holds no study; remove the folder and search again")
    return optuna.load_study(study_name=names[0], storage=storage)


def _holds_studies(database: Path) -> bool:
    """True if the database has Optuna's tables; Optuna would create them in any file without them, even to read it."""
    url = f"{database.resolve().as_uri()}?mode=rw"  # read and write, but do not create
    with closing(sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'studies'").fetchall()
    return bool(tables)


def _cause(error: BaseException) -> str:
    """The message of the database, in one line."""
    inner = error.__cause__ or error
    return str(getattr(inner, "orig", None) or inner).strip().partition("\n")[0]


def _use_write_ahead_log(connection: Any, _: object) -> None:
    """Use a write-ahead log: a write takes 1 ms instead of 12, and readers do not wait for the writer."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def study_exists(folder: Path) -> bool:
    """True if `folder` holds a study."""
    return (folder / DATABASE).is_file()


def create_study(
    folder: Path, name: str, directions: Sequence[Direction], attributes: Mapping[str, Any]
) -> optuna.Study:
    """Create a study in `folder` with its attributes, atomically."""
    draft = folder / f"{DATABASE}.new"
    draft.unlink(missing_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{draft.resolve()}")
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    storage.engine.dispose()
    draft.replace(folder / DATABASE)
    return open_study(folder)
