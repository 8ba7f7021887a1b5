"""The folders of drivers in the folder of a study: `DIR/ray` and `DIR/workers`; drivers that share a study have one each."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from nas.study.database.drivers import DriverRecord
from nas.study.layout import RAY, WORKERS
from nas.study.segments import WorkerFiles

MIN_AGE_S = 600.0
"""A younger folder of an unknown driver on another machine is left: the driver may be about to start."""

_NAME = re.compile(r".+_[0-9]+_[0-9a-f]{8}")


def driver_folder(folder: Path, name: str, driver: str) -> Path:
    """The folder of `driver` ("HOST/PID/ID") in the folder `name` of the study in `folder`."""
    return folder / name / driver.replace("/", "_")


def remove_left_folders(folder: Path, drivers: Mapping[str, DriverRecord], now_s: float) -> set[int]:
    """Remove the folders of drivers that have ended without doing so, as after a kill; returns the trials that these ran.

    These are the drivers of this machine whose process is gone, and those that were not heard of for the time of a lease.

    Args:
        folder: the folder of the study.
        drivers: the drivers that the study announces, by their ids.
        now_s: the time by the clock of the storage.
    """
    announced = {driver.replace("/", "_"): record for driver, record in drivers.items()}
    trials: set[int] = set()
    for place in (path for name in (RAY, WORKERS) for path in (folder / name).glob("*_*_*")):
        is_folder = _NAME.fullmatch(place.name) and not place.is_symlink()
        if is_folder and _has_ended(place, announced.get(place.name), now_s):
            trials |= {number for number, _ in WorkerFiles(place).read()}
            shutil.rmtree(place, ignore_errors=True)
    return trials


def remove_empty_folders(folder: Path) -> None:
    """Remove what drivers have shared, once the last of them has removed its own folder in it."""
    for name in (RAY, WORKERS):
        with suppress(OSError):  # it is not there, or not empty
            (folder / name).rmdir()


def _has_ended(place: Path, record: DriverRecord | None, now_s: float) -> bool:
    """True if the driver that has the folder `place`, and announces itself with `record`, has ended."""
    host, pid, _ = place.name.rsplit("_", 2)
    if host == socket.gethostname():
        return not _runs(int(pid))
    if record is not None:
        return not record.is_heard(now_s)
    with suppress(OSError):
        return time.time() - place.stat().st_mtime > MIN_AGE_S
    return False


def _runs(pid: int) -> bool:
    """True if this machine has a process `pid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
