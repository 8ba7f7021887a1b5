"""Faults that end or stop processes: signals to the driver, to workers, to Ray, to nodes."""

from __future__ import annotations

import os
import signal
import time
from random import Random

from fault import Inject, Injection, fault
from kills import hit, kill, kill_driver_of, may_lose
from processes import kill_all, send_all
from study import StudyUnderTest

MAX_STOP_S = 6.0
MAX_ENDING_S = 30.0  # of a search that was asked to end
MAX_NODE_AWAY_S = 15.0


@fault("worker")
def kill_worker(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of a worker."""
    assignments = study.assignments()
    workers = [
        process
        for process in study.processes().get("worker", [])
        if may_lose(study, {assignments.get(process.pid, -1)}, "worker")
    ]
    if not workers:
        return None
    worker = random.choice(workers)
    return kill(study, [worker.pid], f"worker {worker.pid} of trial {assignments.get(worker.pid)}", "worker")


@fault("driver")
def kill_driver(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver."""
    return kill_driver_of(study, "driver")


@fault("drivers", databases=("postgresql",), needs_drivers=2)
def kill_all_drivers(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of all drivers."""
    injection = kill(study, [driver.pid for driver in study.drivers if driver.exit_code is None], "all drivers")
    study.wait()
    return injection


def _kill_daemon(role: str) -> Inject:
    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        return kill(study, [process.pid for process in study.processes().get(role, [])], role, "cluster")

    return inject


for _role in ("host", "raylet", "gcs", "agent"):
    fault(_role, ("ray_tune",))(_kill_daemon(_role))


@fault("group")
def kill_group(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the process group of the driver, as when a job is cancelled."""
    target = study.target
    if target.exit_code is not None:
        return None
    trials, at = frozenset(study.assignments(target).values()), time.monotonic()
    os.killpg(target.pid, signal.SIGKILL)
    target.process.wait()
    return Injection(f"group {target.pid}", at, hit(study, trials), trials)


@fault("machine")
def kill_everything(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of every process, as when the machine goes down."""
    at = time.monotonic()
    kill_all(study.marker)
    study.wait()
    return Injection("all processes", at, trials=frozenset(study.assignments().values()))


def _stop(study: StudyUnderTest, pids: list[int], detail: str, seconds: float) -> Injection | None:
    """SIGSTOP, and SIGCONT after `seconds`."""
    if not send_all(pids, signal.SIGSTOP):
        return None
    time.sleep(seconds)
    at = time.monotonic()
    send_all(pids, signal.SIGCONT)
    return Injection(f"{detail} for {seconds:.1f} s", at)


@fault("stop_driver")
def stop_driver(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGSTOP of the driver for some seconds."""
    return _stop(study, [study.target.pid], "driver", random.uniform(1, MAX_STOP_S))


def _stop_one(role: str) -> Inject:
    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        processes = study.processes().get(role, [])
        if not processes:
            return None
        return _stop(study, [random.choice(processes).pid], role, random.uniform(1, MAX_STOP_S))

    return inject


fault("stop_worker")(_stop_one("worker"))
fault("stop_host", ("ray_tune",))(_stop_one("host"))
fault("stop_raylet", ("ray_tune",))(_stop_one("raylet"))


def _signal_driver(number: signal.Signals, group: bool = False, times: int = 1) -> Inject:
    """A signal for the driver or its process group, once or again after a moment; then wait whether the driver ends."""

    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        target, at = study.target, time.monotonic()
        trials = frozenset(study.assignments(target).values())
        if target.exit_code is not None:
            return None
        for count in range(times):
            if target.exit_code is None:
                (os.killpg if group else os.kill)(target.pid, number)
                time.sleep(random.uniform(0, 1) if count + 1 < times else 0)
        end = time.monotonic() + MAX_ENDING_S
        while target.exit_code is None and time.monotonic() < end:
            time.sleep(0.02)
        detail = f"{number.name}, the driver {'goes on' if target.exit_code is None else 'has ended'}"
        if target.exit_code is None:
            return Injection(detail, time.monotonic())
        return Injection(detail, at, hit(study, trials), trials)

    return inject


fault("sigterm")(_signal_driver(signal.SIGTERM))
fault("sigint")(_signal_driver(signal.SIGINT))
fault("sighup")(_signal_driver(signal.SIGHUP))
fault("ctrl_c")(_signal_driver(signal.SIGINT, group=True))
fault("ctrl_c_twice")(_signal_driver(signal.SIGINT, group=True, times=2))


def _kill_node(is_head: bool) -> Inject:
    """SIGKILL of all processes of a node of a cluster, which joins again after some seconds; without a head, no node is left."""

    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        trials = set(study.assignments().values())
        if study.cluster is None or not may_lose(study, trials, "cluster"):
            return None
        nodes = range(study.setup.nodes) if is_head else [random.randrange(1, study.setup.nodes)]
        away_s, at = random.uniform(0, MAX_NODE_AWAY_S), time.monotonic()
        pids = frozenset(pid for node in nodes for pid in study.cluster.kill(node))
        study.losses.update(trials)
        time.sleep(away_s)
        for node in nodes:
            study.cluster.start(node)
        return Injection(f"nodes {list(nodes)}, away for {away_s:.1f} s", at, pids, frozenset(trials))

    return inject


fault("node", ("ray_tune",), needs_nodes=2)(_kill_node(is_head=False))
fault("head", ("ray_tune",), needs_nodes=1)(_kill_node(is_head=True))


@fault("network", ("ray_tune",), needs_nodes=2)
def stop_node(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGSTOP of all processes of a node: for the others it looks as if the network to it were cut."""
    if study.cluster is None:
        return None
    pids = study.cluster.pids(random.randrange(1, study.setup.nodes))
    return _stop(study, list(pids), "a node", random.uniform(1, 6 * MAX_STOP_S))
