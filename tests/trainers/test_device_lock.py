from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainers.device_lock import DeviceLock

# Steps of a millisecond until killed, each printed with its start and end.
TRAIN = """
import sys, time
from pathlib import Path
from trainers.device_lock import DeviceLock
device = DeviceLock("cpu", Path(sys.argv[1]))
with device.shared() as pause_if_requested:
    while True:
        start = time.monotonic()
        time.sleep(0.001)
        print(start, time.monotonic(), flush=True)
        pause_if_requested()
"""
# Holds the device until killed.
MEASURE = """
import sys, time
from pathlib import Path
from trainers.device_lock import DeviceLock
with DeviceLock("cpu", Path(sys.argv[1])).exclusive():
    print("started", flush=True)
    time.sleep(600)
"""


@contextmanager
def running(program: str, folder: Path, notes: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `program` that has started; killed at the end."""
    with notes.open("wb") as out, subprocess.Popen([sys.executable, "-c", program, folder], stdout=out) as process:
        try:
            while not notes.stat().st_size:
                assert process.poll() is None
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


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
        process.wait()
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


@pytest.mark.parametrize("mode", [0o777, 0o770], ids=oct)
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match=rf"that nobody else may write to, found owner \d+, mode {mode:04o}"):
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
