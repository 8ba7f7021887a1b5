"""However a command ends, the processes that it has started end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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

# Each goes on for hours; with how many live processes: its own, those that it starts, and Python's tracker of resources.
ENDLESS = {
    "bench search --table table.json --samplers random --seeds 100000 --jobs 1": 1,
    "bench search --table table.json --samplers random --seeds 100000 --jobs 2": 4,
    "bench throughput study.yaml --sample 3 --rounds 100000 --beside 2": 4,
}
PATIENCE_S = 600


@contextmanager
def begun(words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, with all of its processes, in a process group of its own."""
    (folder / "study.yaml").write_text(STUDY)
    (folder / "table.json").write_text(json.dumps(TABLE))
    command = [sys.executable, "-m", "nas.cli", *words.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as running:
        try:
            if ENDLESS[words] == 1:  # it has begun when it tells what it reads
                assert running.stdout is not None
                assert running.stdout.readline().startswith("table.json")
            while len(of_group(running.pid)) < ENDLESS[words]:
                assert running.poll() is None, running.communicate()[1]
                time.sleep(0.05)
            yield running
        finally:
            if of_group(running.pid):
                os.killpg(running.pid, signal.SIGKILL)


def of_group(group: int) -> list[int]:
    """The processes of a group that live."""
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if is_of(stat, group)]


def is_of(stat: Path, group: int) -> bool:
    try:
        state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:  # it ended meanwhile
        return False
    return state != "Z" and int(its_group) == group


def wait_for_end(group: int) -> None:
    """The tracker of resources ends a little later than the others."""
    end = time.monotonic() + PATIENCE_S
    while of_group(group):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.05)


@pytest.mark.parametrize("words", ENDLESS)
def test_ctrl_c_ends_them_without_a_traceback(words: str, tmp_path: Path) -> None:
    with begun(words, tmp_path) as running:
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 130
        assert [line for line in err.splitlines() if not line.startswith("interrupted: ")] == [], err
        wait_for_end(running.pid)


@pytest.mark.parametrize("words", [words for words, count in ENDLESS.items() if count > 1])
def test_they_end_when_the_command_is_killed(words: str, tmp_path: Path) -> None:
    with begun(words, tmp_path) as running:
        running.kill()
        running.wait()
        wait_for_end(running.pid)


def test_ctrl_c_waits_until_a_process_is_started() -> None:
    """Another thread hears it, as those of a numerical library do."""
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
