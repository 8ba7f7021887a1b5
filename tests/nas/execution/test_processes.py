"""The processes of a command end with it, also when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.execution.processes import block_sigint

STUDY = """\
space:
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, width: [8, 16], depth: [1, 2]}]
  stem: {patch: 2}
  image_size: 8
"""
TABLE = {f"{i:02d}": {"accuracy": 1 - 1 / (i + 2), "macs": 100 + i} for i in range(27)}

# Command that would run for hours -> number of its processes: its own, those that it starts, and the resource tracker.
ENDLESS = {
    "bench search --table table.json --samplers random --seeds 10000 --jobs 1": 1,
    "bench search --table table.json --samplers random --seeds 10000 --jobs 2": 4,
    "bench throughput study.yaml --sample 3 --rounds 1000 --beside 2": 4,
}
PATIENCE_S = 600


@contextmanager
def start_command(words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a new process group, and wait until all its processes run."""
    (folder / "study.yaml").write_text(STUDY)
    (folder / "table.json").write_text(json.dumps(TABLE))
    command = [sys.executable, "-m", "nas.cli", *words.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as running:
        try:
            if ENDLESS[words] == 1:  # it has started when it prints the name of the table
                assert running.stdout is not None
                assert running.stdout.readline().startswith("table.json")
            while len(processes_of_group(running.pid)) < ENDLESS[words]:
                assert running.poll() is None, running.communicate()[1]
                time.sleep(0.05)
            yield running
        finally:
            if processes_of_group(running.pid):
                os.killpg(running.pid, signal.SIGKILL)


def processes_of_group(group: int) -> list[int]:
    """The living processes of a group."""
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if is_alive_in_group(stat, group)]


def is_alive_in_group(stat: Path, group: int) -> bool:
    try:
        state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:  # the process has ended
        return False
    return state != "Z" and int(process_group) == group


def wait_for_end(group: int) -> None:
    """Wait until all processes of the group have ended; the resource tracker ends last."""
    end = time.monotonic() + PATIENCE_S
    while processes_of_group(group):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.05)


@pytest.mark.parametrize("words", ENDLESS)
def test_ctrl_c_ends_all_processes_without_a_traceback(words: str, tmp_path: Path) -> None:
    with start_command(words, tmp_path) as running:
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 130
        assert [line for line in err.splitlines() if not line.startswith("interrupted: ")] == [], err
        wait_for_end(running.pid)


@pytest.mark.parametrize("words", [words for words, count in ENDLESS.items() if count > 1])
def test_processes_end_when_the_command_is_killed(words: str, tmp_path: Path) -> None:
    with start_command(words, tmp_path) as running:
        running.kill()
        running.wait()
        wait_for_end(running.pid)


def test_ctrl_c_waits_until_a_process_is_started() -> None:
    """Another thread receives the signal, as a thread of a numerical library may."""
    ended, steps = threading.Event(), []
    thread = threading.Thread(target=ended.wait)

    def start() -> None:
        with block_sigint():
            os.kill(os.getpid(), signal.SIGINT)
            for step in range(1000):
                steps.append(step)
                time.sleep(0)

    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        ended.set()
        thread.join()
    assert len(steps) == 1000
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == set()


def test_a_thread_starts_processes_that_ignore_ctrl_c() -> None:
    """Only the main thread can set a handler, so that stays; the signals are blocked for the thread and its processes."""
    blocked, handler = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}, signal.getsignal(signal.SIGINT)
    code = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, set())))"

    def start() -> tuple[str, object, set[int | signal.Signals]]:
        with block_sigint(signal.SIGTERM):
            command = (sys.executable, "-c", code)
            started = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            during = signal.getsignal(signal.SIGINT)
        return started, during, signal.pthread_sigmask(signal.SIG_BLOCK, set())

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(start).result() == (str(sorted(blocked)), handler, set())
    assert signal.getsignal(signal.SIGINT) is handler
