"""A private Ray whose processes are killed: no task is lost or runs twice to its end, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nas.errors import MachineError
from nas.execution.base import FINISHED, WAIT, Loss, NoTask, Task, TaskSource, open_executor
from nas.execution.executors.ray_tune import host_process
from nas.execution.executors.ray_tune.session import members
from nas.execution.losses import LossPolicy
from nas.execution.resources import Resources

WORKERS = """
import os, time

class Worker:
    def __init__(self, site):
        pass

    def run(self, payload):
        time.sleep(payload["seconds"])
        return {"pid": os.getpid()}
"""
DRIVER = """
import sys
from pathlib import Path
from sleeping_worker import Worker
from nas.execution.base import Task, open_executor
from nas.execution.queue import TaskQueue
from nas.execution.resources import Resources

with open_executor("ray_tune", Resources(workers=1, gpus_per_trial=0), Path("scratch").resolve()) as executor:
    print(executor.host.process.pid, flush=True)
    executor.run(Worker, TaskQueue([Task("task", {"seconds": 600})], on_result=lambda task, result: None))
"""
BROKEN_HOST = """
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from nas.execution.executors.ray_tune.messages import NotOpened, Opened

connection = Connection(int(sys.argv[1]))
connection.recv_bytes(), connection.recv()
starts = Path(__file__).with_name("starts")
with starts.open("a") as file:
    file.write("x")
if starts.stat().st_size == 2:
    connection.send(NotOpened("the node timed out"))
    connection.recv()
connection.send(Opened(({"CPU": 1.0},)))
connection.recv()
print("no memory", flush=True)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the module of the workers, on the path of this process."""
    folder = tmp_path_factory.mktemp("sleeping")
    (folder / "sleeping_worker.py").write_text(WORKERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def executor(workers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A private Ray with two workers."""
    resources = Resources(workers=2, cpus_per_trial=1, gpus_per_trial=0)
    with open_executor("ray_tune", resources, tmp_path_factory.mktemp("scratch")) as opened:
        yield opened


class KillingSource(TaskSource):
    """Short tasks; calls `kill` once when a task has ended and another one runs."""

    def __init__(self, count: int, kill: Callable[[], None]) -> None:
        self.left = [Task(f"t{value}", {"seconds": 2.0}) for value in range(count)]
        self.kill = kill
        self.policy = LossPolicy()
        self.has_killed = False
        self.running: set[str] = set()
        self.ended: list[str] = []
        self.losses: list[Loss] = []

    def next_task(self) -> Task | NoTask:
        return self.left.pop(0) if self.left else FINISHED

    def on_started(self, task: Task) -> None:
        self.running.add(task.name)

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        self.running.discard(task.name)
        self.ended.append(task.name)

    def on_lost(self, task: Task, loss: Loss) -> bool:
        self.running.discard(task.name)
        self.losses.append(loss)
        return self.policy.add(task, loss)

    def tick(self) -> None:
        super().tick()
        if self.ended and self.running and not self.has_killed:
            self.has_killed = True
            self.kill()


def kill_processes(executor: Any, word: str) -> None:
    """Kill the processes of the session of the host that have `word` in their title or command."""
    for process in members(executor.host.process.pid):
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if any(word in part.decode(errors="replace") for part in command[:3]):
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize(
    ("word", "kind", "reason"),
    [
        (".train", "worker", "the worker died"),
        ("raylet/raylet", "cluster", "Ray was lost: the process raylet of Ray ended (signal 9)"),
        ("gcs/gcs_server", "cluster", "Ray was lost: the process gcs_server of Ray ended (signal 9)"),
    ],
)
def test_every_task_ends_once_whatever_is_killed(
    executor: Any, workers: Path, word: str, kind: str, reason: str
) -> None:
    import sleeping_worker

    source = KillingSource(4, lambda: kill_processes(executor, word))
    executor.run(sleeping_worker.Worker, source)
    assert sorted(source.ended) == [f"t{value}" for value in range(4)]
    assert {(loss.kind, loss.reason) for loss in source.losses} == {(kind, reason)}


def test_a_task_is_not_lost_when_its_worker_dies_before_it_starts(executor: Any, workers: Path) -> None:
    import sleeping_worker

    class Waiting(KillingSource):
        """Waits until all workers are idle, and kills them before it gives its last task."""

        def next_task(self) -> Task | NoTask:
            if len(self.left) == 1 and (self.running or not self.has_killed):
                return WAIT
            return super().next_task()

        def tick(self) -> None:
            if len(self.ended) == 2 and not self.has_killed:
                self.has_killed = True
                self.kill()

    source = Waiting(3, lambda: kill_processes(executor, "ray::TaskRunner"))
    executor.run(sleeping_worker.Worker, source)
    assert sorted(source.ended) == ["t0", "t1", "t2"]
    assert source.losses == []


def test_all_tasks_run_where_tune_is_started_afresh_after_some(
    executor: Any, workers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sleeping_worker

    monkeypatch.setattr(executor, "tasks_per_tuner", 2)
    source = KillingSource(3, lambda: None)
    executor.run(sleeping_worker.Worker, source)
    assert sorted(source.ended) == ["t0", "t1", "t2"]
    assert source.losses == []


def test_a_ray_that_is_lost_again_and_again_ends_the_run(
    workers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sleeping_worker

    (workers / "broken_host.py").write_text(BROKEN_HOST)
    monkeypatch.setattr(host_process, "MODULE", "broken_host")
    resources = Resources(workers=1, cpus_per_trial=1, gpus_per_trial=0)
    with (
        open_executor("ray_tune", resources, tmp_path) as executor,
        pytest.raises(
            MachineError, match=r"lost 5 times without a task that has ended.* \(exit status 7\): no memory; "
        ),
    ):
        executor.run(sleeping_worker.Worker, KillingSource(2, lambda: None))
    assert len((workers / "starts").read_text()) == 5  # a start that fails counts as a loss


def test_nothing_is_left_running_when_the_driver_is_killed(workers: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        host = int(driver.stdout.readline())
        end_s = time.monotonic() + 120
        while len(members(host)) < 4 and time.monotonic() < end_s:  # host, GCS, raylet, worker
            time.sleep(0.1)
        driver.kill()
    end_s = time.monotonic() + 60
    while members(host) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert members(host) == []
