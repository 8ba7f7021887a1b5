"""The folder of a study: names of its files, and the files of each trial. Needs neither torch nor Optuna.

DIR/study.db          the Optuna storage (SQLite), one study in it, or
DIR/storage.json      the database on a server that holds the study (nas/study/database/storage_url.py)
DIR/study.yaml        the resolved configuration at the start of the study
DIR/trials/NUMBER/    weights (`model.safetensors`, the record in their header), those of an inherited training
                      (`inherited.safetensors`, outcomes/inheritance.py), `error.txt` if the trial failed and, while it trains or
                      after it failed, `checkpoint.pt`
DIR/data/             the decoded images
DIR/retrained/        full trainings (nas/study/retrained.py)
DIR/reference.json    seconds of a pass of the reference network at the start of the study (nas/evaluation/measurer.py)
DIR/operators.json    times of operators, from which throughput is predicted (nas/study/operator_table.py)
DIR/columns.npz       the trials as columns, which a dashboard writes for the next one (nas/analysis/columns_cache.py)
DIR/ray/              Ray Tune's own files, only while a search runs
DIR/workers/          the segment that each worker has started last, only while a search runs (nas/study/segments.py)
DIR/manifest.json     what an unpacked backup holds (nas/study/backup_archive.py)
DIR/removed-DATE/     what `nas doctor --repair` has taken away (nas/doctor/removed.py)
DIR/lock              held by the driver that runs the study, or that starts where several drivers may run

With the key `files`, a URL, weights and checkpoints are at URL/trials/NUMBER/ instead, and the images at URL/data/, too; weights
are fetched when they are needed. A worker that does not see DIR works in `TMPDIR/mixfront-UID` (nas/evaluation/place.py):

images/               decoded images, by fingerprint
verified/             which files of decoded images were verified on this machine (trainers/data/verification.py)
work/                 a folder for each worker process, removed with it or by the next one
"""

from __future__ import annotations

import os
from pathlib import Path

from nas.errors import UsageError
from trainers.files import atomic_write, remove_temporary_files

DATABASE = "study.db"
STORAGE = "storage.json"
CONFIG = "study.yaml"
DATA = "data"
REFERENCE = "reference.json"
OPERATORS = "operators.json"
COLUMNS = "columns.npz"
RAY = "ray"
LOCK = "lock"
WORKERS = "workers"
TRIALS = "trials"
MANIFEST = "manifest.json"

WEIGHTS = "model.safetensors"
INHERITED_WEIGHTS = "inherited.safetensors"
CHECKPOINT = "checkpoint.pt"
ERROR = "error.txt"
STACKS = "stacks.txt"


def may_write(path: Path) -> bool:
    """True if this process may write to the file or folder `path`."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def holds_study(folder: Path) -> bool:
    """True if `folder` is that of a study: its database is in it, or on a server that it names."""
    return (folder / DATABASE).is_file() or (folder / STORAGE).is_file()


def place_file(folder: Path) -> Path:
    """The file in the `folder` of a study that is, or that names, its database."""
    return folder / (STORAGE if (folder / STORAGE).is_file() else DATABASE)


def default_folder(name: str) -> Path:
    """The folder of the study `name`, if the user names none: `runs/NAME`.

    Raises:
        UsageError: the name leads out of `runs`.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(f"name: must not lead out of the folder runs without --out, found {name!r}")
    return Path("runs") / path


def trial_folder(study: Path, number: int) -> Path:
    """The folder of trial `number` of the study in the folder `study`."""
    return study / TRIALS / f"{number:05d}"


def sibling_folder(folder: Path, number: int) -> Path:
    """The folder of trial `number` of the study in which `folder` is that of another trial."""
    return folder.with_name(trial_folder(folder.parent, number).name)


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of the trial in `folder`, if there is one, and the temporary files that killed workers left."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    remove_temporary_files(folder)


def remove_error(folder: Path) -> None:
    """Remove the traceback of an attempt at the trial in `folder` that the machine ended."""
    (folder / ERROR).unlink(missing_ok=True)


def move_checkpoint(source: Path, target: Path) -> None:
    """Move the checkpoint of the trial in the folder `source`, if there is one, to that in the folder `target`."""
    if (source / CHECKPOINT).is_file():
        target.mkdir(parents=True, exist_ok=True)
        (source / CHECKPOINT).replace(target / CHECKPOINT)


def write_error(folder: Path, traceback: str) -> Path:
    """Write the `traceback` of a failed trial to its `folder`; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ERROR
    with atomic_write(file) as temporary:
        temporary.write_text(traceback, encoding="utf-8", errors="backslashreplace")  # paths may be no UTF-8
    return file
