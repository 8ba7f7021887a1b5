from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from trainers import device_lock
from trainers.device_lock import DeviceLock
from trainers.lock_holders import find_holders

# Steps of a millisecond until killed, each printed with its start and end.
TRAIN = """
device = DeviceLock("cpu", folder)
with device.shared() as pause_if_requested:
    while True:
        start = time.monotonic()
        time.sleep(0.001)
        print(start, time.monotonic(), file=notes, flush=True)
        pause_if_requested()
"""
# Holds the device until killed.
MEASURE = """
with DeviceLock("cpu", folder).exclusive():
    print("started", file=notes, flush=True)
    time.sleep(600)
"""
BEGIN = """
import time
from trainers.device_lock import DeviceLock
"""
# Forked from a process that has imported torch: its import takes longer than all else here.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["trainers.device_lock"])


def run(program: str, folder: Path, notes: Path) -> None:
    """Run a program with its folder, and the file of its notes."""
    with notes.open("w") as file:
        exec(BEGIN + program, {"folder": folder, "notes": file})


@contextmanager
def running(program: str, folder: Path, notes: Path) -> Iterator[BaseProcess]:
    """A process of `program` that has started; killed at the end."""
    process = CONTEXT.Process(target=run, args=(program, folder, notes))
    process.start()
    try:
        while not notes.exists() or not notes.stat().st_size:
            assert process.is_alive()
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.join()


def test_no_process_trains_during_a_measurement(tmp_path: Path) -> None:
    notes = [tmp_path / f"notes-{i}" for i in range(2)]
    measured = []
    with running(TRAIN, tmp_path, notes[0]), running(TRAIN, tmp_path, notes[1]):
        for _ in range(5):
            with DeviceLock("cpu", tmp_path).exclusive():
                start = time.monotonic()
                time.sleep(0.02)
                measured.append((start, time.monotonic()))
            lengths = [file.stat().st_size for file in notes]
            while any(file.stat().st_size == length for file, length in zip(notes, lengths, strict=True)):
                time.sleep(0.01)  # both continue
    for file in notes:
        steps = [tuple(map(float, line.split())) for line in file.read_text().splitlines()[:-1]]
        assert len(steps) >= 5
        for start, end in measured:
            assert not any(a < end and b > start for a, b in steps)


def test_a_killed_training_releases_the_lock(tmp_path: Path) -> None:
    with running(TRAIN, tmp_path, tmp_path / "notes") as process:
        process.kill()
        process.join()
        with DeviceLock("cpu", tmp_path).exclusive():
            length = (tmp_path / "notes").stat().st_size
    assert (tmp_path / "notes").stat().st_size == length > 0


def test_a_training_pauses_until_a_measurement_is_killed_and_counts_the_pause(tmp_path: Path) -> None:
    device = DeviceLock("cpu", tmp_path)
    with running(MEASURE, tmp_path, tmp_path / "notes") as process:
        killed = []

        def kill() -> None:
            killed.append(time.monotonic())
            process.kill()

        threading.Timer(0.3, kill).start()
        start = time.monotonic()
        with device.shared() as pause_if_requested:
            resumed = time.monotonic()
            pause_if_requested()
    assert killed[0] < resumed
    assert 0 < device.paused_s <= resumed - start


def test_devices_have_separate_locks(tmp_path: Path) -> None:
    with DeviceLock("cpu", tmp_path).exclusive(), DeviceLock("meta", tmp_path).exclusive():
        assert {file.name for file in tmp_path.iterdir()} == {"cpu.busy", "cpu.turn", "meta.busy", "meta.turn"}


def test_measurements_follow_one_another_in_one_process(tmp_path: Path) -> None:
    device = DeviceLock("cpu", tmp_path)
    for _ in range(2):
        with device.exclusive():
            pass
        with device.shared() as pause_if_requested:
            pause_if_requested()
    with DeviceLock("cpu", tmp_path).exclusive():  # all locks are released
        pass


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are ignored after tenths of a second instead of seconds."""
    for name, seconds in (("LOOK_INTERVAL_S", 0.05), ("WARN_AFTER_S", 0.1), ("MAX_STOPPED_S", 0.2)):
        monkeypatch.setattr(device_lock, name, seconds)


def wait_until_stopped(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


def test_a_measurement_does_not_wait_for_a_stopped_training_and_is_not_exclusive(
    little_patience: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(TRAIN, tmp_path, tmp_path / "notes") as process:
        with DeviceLock("cpu", tmp_path).exclusive() as is_exclusive:
            assert is_exclusive
        length = (tmp_path / "notes").stat().st_size
        while (tmp_path / "notes").stat().st_size == length:
            time.sleep(0.01)  # it goes on, and holds the lock again
        wait_until_stopped(process)
        with caplog.at_level(logging.WARNING, "trainers"), DeviceLock("cpu", tmp_path).exclusive() as is_exclusive:
            assert not is_exclusive
        assert f"process {process.pid} (" in caplog.text
        assert ", stopped)" in caplog.text
        os.kill(process.pid, signal.SIGCONT)
        with DeviceLock("cpu", tmp_path).exclusive() as is_exclusive:
            assert is_exclusive


def test_a_training_does_not_wait_for_a_stopped_measurement_but_for_one_that_goes_on(
    little_patience: None, tmp_path: Path
) -> None:
    device = DeviceLock("cpu", tmp_path)
    with running(MEASURE, tmp_path, tmp_path / "notes") as process:
        wait_until_stopped(process)
        with device.shared() as pause_if_requested:
            start = time.monotonic()
            for _ in range(100):
                pause_if_requested()
                time.sleep(0.001)
            assert device.paused_s >= 0.2
            os.kill(process.pid, signal.SIGCONT)
            threading.Timer(1.0, process.kill).start()
            while process.is_alive():
                pause_if_requested()
            assert time.monotonic() - start > 0.9  # it was waited for
            assert device.paused_s > 0.7


def test_a_process_that_keeps_the_device_for_too_long_is_not_waited_for(
    little_patience: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_lock, "MAX_HELD_S", 0.5)
    with running(MEASURE, tmp_path, tmp_path / "notes") as process:
        with (tmp_path / "cpu.turn").open("r+") as file:
            (holder,) = find_holders(file.fileno())
        assert (holder.pid, holder.is_stopped) == (process.pid, False)
        start = time.monotonic()
        with DeviceLock("cpu", tmp_path).exclusive() as is_exclusive:
            assert not is_exclusive
        assert time.monotonic() - start >= 0.5
    assert f"waits for the device cpu, held by process {process.pid}" in caplog.text


def test_nobody_else_may_write_to_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o777)
    DeviceLock("cpu", folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, user = tmp_path / "locks", os.geteuid()
    folder.mkdir()
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: user + 1)
    with pytest.raises(
        PermissionError, match=f"must be a folder of user {user + 1}, found one of user {user}; remove it"
    ):
        DeviceLock("cpu", folder)
    assert list(folder.iterdir()) == []


def test_a_link_in_the_place_of_the_folder_or_of_a_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "locks").symlink_to("elsewhere")
    with pytest.raises(PermissionError, match="found a link"):
        DeviceLock("cpu", tmp_path / "locks")
    (tmp_path / "elsewhere" / "cpu.busy").symlink_to(tmp_path / "created")
    with pytest.raises(OSError, match="must be a regular file, found a link"):
        DeviceLock("cpu", tmp_path / "elsewhere")
    assert not (tmp_path / "created").exists()
