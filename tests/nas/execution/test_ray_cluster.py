"""A cluster of `ray start` processes on this machine: nodes that join, leave, cannot work; a head that is lost; tokens."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nas.errors import MachineError, UsageError
from nas.execution.base import FINISHED, WAIT, Loss, NoTask, Task, TaskSource, open_executor
from nas.execution.executors.ray_tune.session import kill_session, members
from nas.execution.losses import LossPolicy
from nas.execution.resources import Resources

WORKERS = """
import os, time

class Worker:
    def __init__(self, site):
        self.folder = site.files

    def run(self, payload):
        time.sleep(payload["seconds"])
        return {"pid": os.getpid(), "sees": self.folder.stat("reference.json").size}
"""
PATIENCE_S = 300.0


class Cluster:
    """A head without CPUs, and nodes of one CPU at loopback addresses of their own.

    Args:
        folder: a folder for temporary files, with a short path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, ip: str, **variables: str) -> None:
        """Start a node at `ip`; that at 127.0.0.1 is the head."""
        is_head = ip == "127.0.0.1"
        place = (
            [
                "--head",
                f"--port={self.address.partition(':')[2]}",
                "--num-cpus=0",
                "--include-dashboard=false",
                f"--temp-dir={self.folder / 'r'}",
            ]
            if is_head
            else [f"--address={self.address}", "--num-cpus=1"]
        )
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        options = [f"--node-ip-address={ip}", "--object-store-memory=80000000"]
        environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}
        with (self.folder / f"{ip}.log").open("wb") as log:
            self.nodes[ip] = subprocess.Popen(
                [str(Path(sys.executable).with_name("ray")), "start", "--block", *place, *ports, *options],
                env={**os.environ, **environment, "RAY_enable_worker_prestart": "0", **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end_s = time.monotonic() + PATIENCE_S
        while is_head and not self._answers():
            assert self.nodes[ip].poll() is None, (self.folder / f"{ip}.log").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.2)

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        with socket.socket() as client:
            return client.connect_ex((host, int(port))) == 0

    def kill(self, ip: str) -> None:
        """Kill the node at `ip`, with all its workers."""
        process = self.nodes.pop(ip)
        kill_session(process.pid)
        process.wait()

    def kill_worker(self, ip: str) -> None:
        """Kill the worker on the node at `ip` as soon as it runs a task."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            for process in members(self.nodes[ip].pid):
                if b".train" in Path(f"/proc/{process}/cmdline").read_bytes()[:100]:
                    os.kill(process, signal.SIGKILL)
                    return
            time.sleep(0.01)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a head alone; this process has its token."""
    modules = tmp_path_factory.mktemp("modules")
    (modules / "cluster_worker.py").write_text(WORKERS)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="c") as folder, pytest.MonkeyPatch.context() as patch:
        opened = Cluster(Path(folder))
        patch.setenv("RAY_AUTH_TOKEN", opened.token)
        patch.delenv("RAY_AUTH_MODE", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")])))
        patch.syspath_prepend(modules)
        try:
            opened.start("127.0.0.1")
            yield opened
        finally:
            for ip in list(opened.nodes):
                opened.kill(ip)


class EventSource(TaskSource):
    """Tasks of a second until the last of the `steps`, each a condition and what is done as soon as it holds."""

    def __init__(self, *steps: tuple[Callable[[EventSource], bool], Callable[[], None]]) -> None:
        self.steps = list(steps)
        self.policy = LossPolicy()
        self.count = 0
        self.running: set[str] = set()
        self.ended: list[str] = []
        self.losses: list[Loss] = []
        self.messages: list[str] = []
        self.results: list[Mapping[str, Any]] = []
        self.workers = -1
        self.end_s = time.monotonic() + PATIENCE_S

    def next_task(self) -> Task | NoTask:
        if not self.steps:
            return FINISHED
        self.count += 1
        return Task(f"t{self.count}", {"seconds": 1.0})

    def on_started(self, task: Task) -> None:
        self.running.add(task.name)

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        self.running.discard(task.name)
        self.ended.append(task.name)
        self.results.append(result)

    def on_lost(self, task: Task, loss: Loss) -> bool:
        self.running.discard(task.name)
        self.losses.append(loss)
        return self.policy.add(task, loss)

    def on_message(self, text: str) -> None:
        self.messages.append(text)

    def on_workers(self, count: int) -> None:
        self.workers = count

    def tick(self) -> None:
        super().tick()
        assert time.monotonic() < self.end_s, (self.steps, self.messages, self.losses)
        if self.steps and self.steps[0][0](self):
            self.steps.pop(0)[1]()


class OneAfterTheOther(EventSource):
    """A task is given when those before have ended, as at the end of a search with rungs."""

    def next_task(self) -> Task | NoTask:
        return WAIT if self.steps and self.count > len(self.ended) else super().next_task()


def opened(cluster: Cluster, scratch: Path, **more: Any) -> AbstractContextManager[Any]:
    resources = {"address": cluster.address, "gpus_per_trial": 0, "wait_for_cluster": timedelta(minutes=5), **more}
    return open_executor("ray_tune", Resources.model_validate(resources), scratch)


def demand(cluster: Cluster) -> str:
    """What the autoscaler of the cluster sees, once it has started."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": cluster.token}
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "status", f"--address={cluster.address}"]
    end = time.monotonic() + 60
    while True:
        text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        if "pending placement groups" in text or time.monotonic() > end:
            return text
        time.sleep(0.5)


def test_nodes_join_and_leave_and_no_task_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    import cluster_worker

    (tmp_path / "reference.json").write_text("{}")
    seen: list[str] = []
    source = EventSource(
        (lambda s: s.workers == 0 and s.count == 1, lambda: seen.append(demand(cluster))),
        (lambda s: bool(seen), lambda: cluster.start("127.0.0.2")),
        (lambda s: len(s.ended) > 1, lambda: cluster.start("127.0.0.3")),
        (lambda s: s.workers == 2 and len(s.running) == 2, lambda: cluster.kill_worker("127.0.0.3")),
        (lambda s: len(s.losses) == 1 and len(s.running) == 2, lambda: cluster.kill("127.0.0.3")),
        (lambda s: s.workers == 1 and len(s.losses) == 2, lambda: None),
    )
    with opened(cluster, tmp_path / "scratch", workers=2) as executor:
        executor.run(cluster_worker.Worker, source, tmp_path)
    assert len(source.ended) == len(set(source.ended)) == source.count
    assert "pending placement groups" in seen[0]
    assert source.messages == [
        "the Ray cluster has no node for a worker (1 CPU); waiting for one for up to 5m",
    ]
    assert [(loss.kind, loss.reason) for loss in source.losses] == [
        ("worker", "the worker died on node 127.0.0.3"),
        ("node", "node 127.0.0.3 was lost"),
    ]
    assert {result["sees"] for result in source.results} == {2}


def test_the_death_of_the_only_worker_is_reported_while_there_is_no_other_task(
    cluster: Cluster, tmp_path: Path
) -> None:
    import cluster_worker

    (tmp_path / "reference.json").write_text("{}")
    source = OneAfterTheOther(
        (lambda s: len(s.running) == 1, lambda: cluster.kill_worker("127.0.0.2")),
        (lambda s: len(s.ended) == 1, lambda: None),
    )
    with opened(cluster, tmp_path / "scratch") as executor:
        executor.run(cluster_worker.Worker, source, tmp_path)
    assert source.ended == ["t1"]
    assert [loss.kind for loss in source.losses] == ["worker"]


def test_a_node_that_lacks_a_module_is_named_and_the_others_go_on(cluster: Cluster, tmp_path: Path) -> None:
    import cluster_worker

    (tmp_path / "reference.json").write_text("{}")
    source = EventSource(
        (lambda s: len(s.ended) > 1, lambda: cluster.start("127.0.0.4", PYTHONPATH=str(tmp_path))),
        (lambda s: bool(s.messages) and s.workers == 1 and len(s.running) == 1, lambda: None),
    )
    try:
        with opened(cluster, tmp_path / "scratch") as executor:
            executor.run(cluster_worker.Worker, source, tmp_path)
    finally:
        cluster.kill("127.0.0.4")
    assert len(source.ended) == source.count
    assert source.losses == []
    assert source.messages == [
        "a worker cannot start on node 127.0.0.4: ModuleNotFoundError: No module named 'cluster_worker'; the node is not used"
    ]


def test_a_wrong_token_is_an_error_in_one_line(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 32)
    with (
        pytest.raises(
            UsageError,
            match=rf"^resources\.address: the cluster at {cluster.address} could not be joined: .* a token that it accepts .*$",
        ),
        opened(cluster, tmp_path),
    ):
        pass


def test_a_cluster_that_is_lost_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    import cluster_worker

    (tmp_path / "reference.json").write_text("{}")

    def restart() -> None:
        for ip in ("127.0.0.2", "127.0.0.1"):
            cluster.kill(ip)
        cluster.start("127.0.0.1")
        cluster.start("127.0.0.2")

    source = EventSource(
        (lambda s: len(s.ended) > 0 and len(s.running) == 1, restart),
        (lambda s: len(s.losses) > 0 and len(s.ended) > 2, lambda: None),
    )
    with opened(cluster, tmp_path / "scratch") as executor:
        executor.run(cluster_worker.Worker, source, tmp_path)
        assert len(source.ended) == len(set(source.ended)) == source.count
        assert {loss.kind for loss in source.losses} == {"cluster"}
        executor.resources = executor.resources.model_copy(update={"wait_for_cluster": timedelta(seconds=1)})
        lost = EventSource(
            (lambda s: len(s.running) == 1, lambda: cluster.kill("127.0.0.1")), (lambda s: False, lambda: None)
        )
        rule = rf"the Ray cluster at {cluster.address} did not come back within 1s .*; the same command continues"
        with pytest.raises(MachineError, match=rule):
            executor.run(cluster_worker.Worker, lost, tmp_path)
    assert len(lost.messages) == 1
