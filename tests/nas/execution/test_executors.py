"""The contract of executors, for every registered one and the simulator; process executors run real workers."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.errors import StudyError, UnknownNameError, UsageError
from nas.execution.base import (
    FINISHED,
    WAIT,
    Executor,
    Loss,
    NoTask,
    Task,
    TaskSource,
    check_resources,
    names,
    open_executor,
    register,
    unregister,
)
from nas.execution.executors.local import open_local
from nas.execution.queue import TaskQueue
from nas.execution.resources import Resources
from nas.execution.simulator import Script, Simulator

# The workers of these tests; in a file, since processes import them by name.
WORKERS = """
import os, signal, time

class Worker:
    def __init__(self, site):
        self.device = site.device

    def run(self, payload):
        if payload.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"double": 2 * payload["value"], "pid": os.getpid(), "device": self.device}

class Labelled(Worker):
    # The first worker is on a device of its own kind; the simulator has one worker for all.
    def __init__(self, folder, site):
        super().__init__(site)
        try:
            os.close(os.open(os.path.join(folder, "first"), os.O_CREAT | os.O_EXCL))
            self.device_label = "cpu first"
        except FileExistsError:
            self.device_label = "cpu second"

    def run(self, payload):
        time.sleep(payload["seconds"])
        return {"label": self.device_label}

def broken(site):
    raise FileNotFoundError("no images here")

def add(a, b, device):
    return [a + b, device, os.getpid()]

def fail(device):
    raise ValueError("bad operator")
"""

Opening = Callable[[], AbstractContextManager[Executor]]


@pytest.fixture(scope="module")
def workers(importable: Callable[[str, str], Any]) -> Any:
    """The module of the workers."""
    return importable("light_workers", WORKERS)


@pytest.fixture(scope="module", params=[*names(), "simulator"])
def executor(
    request: pytest.FixtureRequest, workers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor]:
    """Each executor, with two workers."""
    if request.param == "simulator":
        yield Simulator(Script(dies=lambda task, attempt: bool(task.payload.get("dies"))), nodes=(2,))
        return
    resources = Resources(workers=2, cpus_per_trial=1, gpus_per_trial=0)
    before = set(multiprocessing.active_children())
    with open_executor(request.param, resources, tmp_path_factory.mktemp("scratch") / "own") as opened:
        yield opened
    assert set(multiprocessing.active_children()) == before


class ListSource(TaskSource):
    """Tasks of numbers; waits before the last until all others have ended."""

    def __init__(self, count: int, **last: Any) -> None:
        self.left = [Task(f"t{value}", {"value": value}) for value in range(count)]
        self.left[-1] = Task(f"t{count - 1}", {"value": count - 1, **last})
        self.started_names: list[str] = []
        self.results: dict[str, Mapping[str, Any] | None] = {}
        self.losses: list[tuple[str, Loss]] = []
        self.given: set[str] = set()
        self.ticks = 0

    def next_task(self) -> Task | NoTask:
        if not self.left:
            return FINISHED
        if len(self.left) == 1 and len(self.results) < len(self.given):
            return WAIT
        self.given.add(self.left[0].name)
        return self.left.pop(0)

    def on_started(self, task: Task) -> None:
        self.started_names.append(task.name)

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        assert task.name not in self.results
        self.results[task.name] = result

    def on_lost(self, task: Task, loss: Loss) -> bool:
        assert task.name not in self.results
        self.losses.append((task.name, loss))
        if len(self.losses) < 3:
            return True
        self.results[task.name] = None
        return False

    def tick(self) -> None:
        super().tick()
        self.ticks += 1


def test_every_task_runs_once_and_its_result_comes_back(executor: Executor, workers: Any) -> None:
    source = ListSource(7)
    executor.run(workers.Worker, source)
    assert {name: result and result["double"] for name, result in source.results.items()} == {
        f"t{value}": 2 * value for value in range(7)
    }
    assert sorted(set(source.started_names)) == sorted(source.results)
    assert list(source.results)[-1] == "t6"  # the source waited with it
    assert source.ticks > 0
    assert {result["device"] for result in source.results.values() if result} == {"cpu"}


def test_few_processes_run_all_tasks(executor: Executor, workers: Any) -> None:
    results: list[Any] = []
    tasks = [Task(str(value), {"value": value}) for value in range(8)]
    executor.run(workers.Worker, TaskQueue(tasks, lambda task, result: results.append(result)))
    assert len(results) == 8
    assert len({result["pid"] for result in results}) <= executor.allocation.workers == 2


def test_a_task_whose_worker_dies_is_run_again_until_the_source_gives_it_up(executor: Executor, workers: Any) -> None:
    source = ListSource(5, dies=True)
    executor.run(workers.Worker, source)
    assert {name: result is None for name, result in source.results.items()} == {
        **{f"t{value}": False for value in range(4)},
        "t4": True,
    }
    assert [(name, loss.kind) for name, loss in source.losses] == [("t4", "worker")] * 3
    assert source.started_names.count("t4") == 3


class SourceForFirst(ListSource):
    """Three tasks for any worker, then three for those on the device "cpu first"."""

    def __init__(self) -> None:
        super().__init__(3, seconds=0.3)
        self.left = [Task(f"any{index}", {"seconds": 0.3}) for index in range(3)]
        self.special = [Task(f"special{index}", {"seconds": 0.1}) for index in range(3)]
        self.asked: set[str | None] = set()

    def next_task_for(self, device: str | None) -> Task | NoTask:
        self.asked.add(device)
        if self.left:
            return self.left.pop(0)
        if not self.special:
            return FINISHED
        return self.special.pop(0) if device == "cpu first" else WAIT


def test_a_task_may_be_for_the_workers_on_one_kind_of_device(executor: Executor, workers: Any, tmp_path: Path) -> None:
    source = SourceForFirst()
    executor.run(partial(workers.Labelled, str(tmp_path)), source)
    labels = {name: result["label"] for name, result in source.results.items() if result}
    assert len(labels) == 6
    assert {label for name, label in labels.items() if name.startswith("special")} == {"cpu first"}
    assert source.asked <= {None, "cpu first", "cpu second"}


def test_a_worker_that_cannot_be_created_ends_the_run_with_the_reason(executor: Executor, workers: Any) -> None:
    with pytest.raises(StudyError, match=r"a worker cannot start: .*no images here"):
        executor.run(workers.broken, ListSource(3))


def test_an_exception_of_the_source_ends_the_run(executor: Executor, workers: Any) -> None:
    class Interrupted(ListSource):
        def tick(self) -> None:
            if self.results:
                raise KeyboardInterrupt

    source = Interrupted(50)
    with pytest.raises(KeyboardInterrupt):
        executor.run(workers.Worker, source)
    assert 0 < len(source.results) < 50


def test_a_call_runs_with_the_resources_of_a_task(executor: Executor, workers: Any) -> None:
    ticks: list[None] = []
    total, device, _ = executor.call(workers.add, 2, 3, tick=lambda: ticks.append(None))
    assert (total, device) == (5, "cpu")
    with pytest.raises(StudyError, match="bad operator"):
        executor.call(workers.fail)


def listening_addresses(pid: int) -> set[str]:
    """The addresses, in hexadecimal, on which the process `pid` and its descendants listen for connections."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            parents[int(fields["Pid"])] = int(fields["PPid"])
    family = {pid}
    while children := {child for child, parent in parents.items() if parent in family} - family:
        family |= children
    sockets = set()
    for descriptor in (place for member in family for place in Path(f"/proc/{member}/fd").glob("*")):
        with suppress(OSError):
            sockets.add(str(descriptor.readlink()))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def test_no_other_machine_can_reach_a_private_executor(executor: Executor) -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert listening_addresses(os.getpid()) <= loopback


def test_the_object_store_needs_no_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.execution.executors.ray_tune import adapter

    roomy, small, missing = tmp_path / "roomy", tmp_path / "small", tmp_path / "missing"
    roomy.mkdir()
    small.mkdir()
    free = {roomy: 10**9, small: 64 * 2**20}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free[place]))
    for folder, expected in ((roomy, roomy), (small, tmp_path)):
        monkeypatch.setattr(adapter, "SHARED_MEMORY", folder)
        assert adapter.object_store_folder(tmp_path) == expected
    monkeypatch.undo()
    monkeypatch.setattr(adapter, "SHARED_MEMORY", missing)
    assert adapter.object_store_folder(tmp_path) == tmp_path


def test_resources_are_checked_without_opening_an_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.execution.resources.count_gpus", lambda: 1)
    for name in names():
        for given, rule in (
            ({"cpus_per_trial": 100_000}, r"resources\.cpus_per_trial: the machine has \d+ CPUs, found 100000"),
            ({"address": "127.0.0.1:1"}, r"resources\.address: (no Ray cluster answers|must be null)"),
        ):
            with pytest.raises(UsageError, match=rule):
                check_resources(name, Resources.model_validate(given))
        for fitting in ({}, {"workers": 64}, {"gpus_per_trial": 0.5}, {"gpus_per_trial": 0}):
            check_resources(name, Resources.model_validate(fitting))
        with monkeypatch.context() as patch:
            patch.setattr("nas.execution.resources.count_gpus", lambda: 0)
            with pytest.raises(UsageError, match="gpus_per_trial: the machine has 0 GPUs, found 1"):
                check_resources(name, Resources.model_validate({"gpus_per_trial": 1}))
    with pytest.raises(UnknownNameError, match=r"resources\.executor"):
        check_resources("ray", Resources.model_validate({}))


def test_an_unknown_executor_is_an_error_that_lists_the_registered_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"resources\.executor: no such executor \(known: local, ray_tune\), found 'ray'; did"
    ):
        open_executor("ray", Resources.model_validate({}), tmp_path)


def test_the_local_executor_has_no_cluster(tmp_path: Path) -> None:
    resources = Resources.model_validate({"address": "10.0.0.1:6379", "gpus_per_trial": 0})
    with (
        pytest.raises(UsageError, match=r"resources\.address: must be null for the executor 'local'"),
        open_executor("local", resources, tmp_path),
    ):
        pass


def devices(tmp_path: Path, **asked: Any) -> tuple[str, ...]:
    """The devices of local processes with the resources `asked` for."""
    with open_local(Resources.model_validate(asked), tmp_path) as executor:
        return tuple(executor.devices)


def test_local_processes_have_the_devices_that_the_resources_ask_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nas.execution.executors.local.count_gpus", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    assert devices(tmp_path) == ("cpu",) * 6
    assert devices(tmp_path, cpus_per_trial=4) == ("cpu",)
    assert devices(tmp_path, workers=9) == ("cpu",) * 9
    with pytest.raises(UsageError, match="cpus_per_trial: the machine has 6 CPUs, found 7"):
        devices(tmp_path, cpus_per_trial=7)
    with pytest.raises(UsageError, match="gpus_per_trial: the machine has 0 GPUs, found 1"):
        devices(tmp_path, gpus_per_trial=1)
    monkeypatch.setattr("nas.execution.executors.local.count_gpus", lambda: 2)
    assert devices(tmp_path) == ("cuda:0", "cuda:1")
    assert devices(tmp_path, gpus_per_trial=0) == ("cpu",) * 6
    assert devices(tmp_path, gpus_per_trial=0.5) == ("cuda:0", "cuda:1") * 2
    assert devices(tmp_path, gpus_per_trial=0.5, workers=3) == ("cuda:0", "cuda:1", "cuda:0")


def test_an_executor_is_one_registration(workers: Any, tmp_path: Path) -> None:
    @register("in_this_process")
    @contextmanager
    def open_here(resources: Resources, scratch: Path) -> Iterator[Executor]:
        yield Simulator(nodes=(resources.workers or 1,))

    try:
        assert "in_this_process" in names()
        with pytest.raises(ValueError, match="already registered"):
            register("in_this_process")(open_here)
        with open_executor("in_this_process", Resources.model_validate({"workers": 3}), tmp_path) as opened:
            source = ListSource(4)
            opened.run(workers.Worker, source)
            assert len(source.results) == 4
    finally:
        unregister("in_this_process")


def test_ray_leaves_variables_of_the_user_and_its_folder_alone(workers: Any, tmp_path: Path) -> None:
    from nas.execution.executors import ray_tune

    assert {name for name in ray_tune.RAY_ENVIRONMENT if not name.startswith(("RAY_", "TUNE_"))} == set()
    assert list(tmp_path.iterdir()) == []  # scratch folders are removed at the end of a run
