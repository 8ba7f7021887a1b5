"""Processes of this machine: the death of one loses its task alone, and says how it died; all end with the driver."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nas.errors import StudyError
from nas.execution import worker_death
from nas.execution.base import Executor, Loss, Task, open_executor
from nas.execution.queue import TaskQueue
from nas.execution.resources import Resources
from nas.execution.worker_death import count_oom_kills, describe_death

WORKERS = """
import ctypes, os, signal, sys, time

class Worker:
    def __init__(self, site):
        pass

    def run(self, payload):
        match payload.get("way"):
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(3)
            case "crashes":
                ctypes.string_at(0)
            case "raises":
                error = ValueError("foreign")
                error.function = lambda: None
                raise error
            case "says":
                print(os.getpid(), flush=True)
                time.sleep(600)
        time.sleep(payload.get("seconds", 0))
        return {"pid": os.getpid()}

class DiesAtStart(Worker):
    def __init__(self, site):
        os._exit(7)
"""

DRIVER = """
import sys
from pathlib import Path
from local_workers import Worker
from nas.execution.base import Task, open_executor
from nas.execution.queue import TaskQueue
from nas.execution.resources import Resources

if __name__ == "__main__":
    with open_executor("local", Resources(workers=2, gpus_per_trial=0), Path()) as executor:
        tasks = [Task(str(index), {"way": "says"}) for index in range(2)]
        executor.run(Worker, TaskQueue(tasks, lambda task, result: None))
"""


@pytest.fixture(scope="module")
def workers(importable: Callable[[str, str], Any]) -> Any:
    """The module of the workers."""
    return importable("local_workers", WORKERS)


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    with open_executor("local", Resources(workers=2, cpus_per_trial=1, gpus_per_trial=0), tmp_path) as opened:
        yield opened


def test_a_death_says_how_and_the_other_tasks_do_not_notice(executor: Executor, workers: Any) -> None:
    results: dict[str, Mapping[str, Any]] = {}
    losses: list[tuple[str, Loss]] = []
    tasks = [Task("long", {"seconds": 3}), *(Task(way, {"way": way}) for way in ("killed", "exits", "crashes"))]
    executor.run(
        workers.Worker,
        TaskQueue(
            tasks,
            lambda task, result: results.update({task.name: result}),
            on_loss=lambda task, loss: losses.append((task.name, loss)),
        ),
    )
    assert results.keys() == {"long"}
    assert dict(losses) == {
        "killed": Loss("worker", "the worker died: killed (signal 9)"),
        "exits": Loss("worker", "the worker died (exit code 3)"),
        "crashes": Loss("worker", "the worker died: segmentation fault (signal 11)"),
    }


def test_an_exception_that_cannot_be_pickled_ends_the_run(executor: Executor, workers: Any) -> None:
    with pytest.raises(StudyError, match="ValueError: foreign"):
        executor.run(workers.Worker, TaskQueue([Task("raises", {"way": "raises"})], lambda task, result: None))


def test_a_worker_that_dies_before_it_is_ready_ends_the_run(executor: Executor, workers: Any) -> None:
    with pytest.raises(StudyError, match=r"a worker cannot start: it died before it was ready: .*\(exit code 7\)"):
        executor.run(workers.DiesAtStart, TaskQueue([Task("t", {})], lambda task, result: None))


def test_a_worker_that_is_killed_before_it_starts_is_replaced(executor: Executor, workers: Any) -> None:
    others = set(multiprocessing.active_children())

    class Killing(TaskQueue):
        """Kills the first process that it sees, which imports Python's modules still."""

        killed: int | None = None

        def tick(self) -> None:
            super().tick()
            if self.killed is None and (started := set(multiprocessing.active_children()) - others):
                self.killed = started.pop().pid
                assert self.killed is not None
                os.kill(self.killed, signal.SIGKILL)

    ended: list[str] = []
    source = Killing([Task("t", {})], lambda task, result: ended.append(task.name))
    executor.run(workers.Worker, source)
    assert ended == ["t"]
    assert source.killed is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_with_the_driver_also_stopped_ones(number: signal.Signals, workers: Any) -> None:
    folder = Path(workers.__file__).parent
    (folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(folder / "driver.py")]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pids = [int(driver.stdout.readline()) for _ in range(2)]
        os.kill(pids[0], signal.SIGSTOP)
        driver.send_signal(number)
    end = time.monotonic() + 60
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_kill_by_the_kernel_is_told_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "groups" / "job" / "memory.events"
    group.parent.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/job\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 9\n")
    monkeypatch.setattr(worker_death, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(worker_death, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(worker_death, "VMSTAT", tmp_path / "vmstat")
    assert count_oom_kills() == 9  # of the machine
    group.write_text("low 0\noom 3\noom_kill 2\n")
    assert count_oom_kills() == 2  # of the control group
    assert describe_death(-9, is_out_of_memory=True).startswith("out of memory: ")
    assert describe_death(-9) == "the worker died: killed (signal 9)"
    assert describe_death(-11, is_out_of_memory=True) == "the worker died: segmentation fault (signal 11)"
    assert describe_death(None) == "the worker died"
