"""Many real workers of the executor `ray_tune`, whose tasks sleep: how busy they are kept, and what the driver and Ray cost.

    python tests/benchmarks/ray_actors.py --workers 16 --task-s 20 --rounds 2

Each worker is a process of Ray with a logical CPU, as in a search, but it neither imports torch nor trains. The share of time
busy counts from the moment in which all workers have had a task (starting a process of Ray takes seconds of CPU, once) to the
last start of a task. CPU seconds and memory (proportional set size) are those of this process, the driver's side; of the host
process with Ray's daemons; and of the workers. It refuses to start where less than `--min-free-gb` would be left.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from sleeping_worker import Sleeper

from nas.execution.base import FINISHED, Loss, NoTask, Task, TaskSource, open_executor
from nas.execution.resources import Resources

WORKER_MB = 130
"""Memory of a worker process, about."""


class Rounds(TaskSource):
    """Tasks of the same duration: until every worker has ended one, and then some rounds of one for each worker.

    Args:
        workers: number of workers.
        rounds: number of rounds.
        seconds: of a task.
    """

    def __init__(self, workers: int, rounds: int, seconds: float) -> None:
        self.workers = workers
        self.seconds = seconds
        self.left = workers * rounds
        self.given = 0
        self.pids: set[int] = set()
        self.results: list[Mapping[str, Any]] = []
        self.usage: dict[str, Any] = {}

    def next_task(self) -> Task | NoTask:
        if self.left == 0:
            self.usage = self.usage or usage()  # while all workers run
            return FINISHED
        self.left -= len(self.pids) >= self.workers
        self.given += 1
        return Task(str(self.given), {"seconds": self.seconds})

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        self.results.append(result)
        self.pids.add(result["pid"])

    def on_lost(self, task: Task, loss: Loss) -> bool:
        raise RuntimeError(f"task {task.name}: {loss.reason}")


def usage() -> dict[str, Any]:
    """CPU seconds and memory of this process and its descendants, also of those in other sessions, by what they are."""
    found: dict[str, dict[str, float]] = {}
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            ticks = sum(map(int, fields[11:13]))
            lines[int(folder.name)] = (ticks / os.sysconf("SC_CLK_TCK"), (folder / "cmdline").read_text())
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family & lines.keys():
        seconds, line = lines[pid]
        kind = "driver" if pid == os.getpid() else "workers" if line.startswith("ray::") else "Ray"
        entry = found.setdefault(kind, {"processes": 0, "cpu_s": 0.0, "pss_mb": 0.0})
        entry["processes"] += 1
        entry["cpu_s"] += seconds
        entry["pss_mb"] += _pss_mb(pid)
    return found


def _pss_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def busy_share(results: list[Mapping[str, Any]], workers: int) -> dict[str, float]:
    """Share of the workers' time in tasks, from the moment in which all have had one to the last start of a task."""
    firsts: dict[int, float] = {}
    for result in sorted(results, key=lambda result: result["start"]):
        firsts.setdefault(result["pid"], result["start"])
    start, end = max(firsts.values()), max(result["start"] for result in results)
    inside = sum(max(0.0, min(end, result["end"]) - max(start, result["start"])) for result in results)
    return {
        "all_started_s": start - min(firsts.values()),
        "window_s": end - start,
        "busy": inside / (workers * (end - start)) if end > start else 1.0,
        "processes": len(firsts),
    }


def gaps(results: list[Mapping[str, Any]]) -> list[float]:
    """Seconds between two tasks of a worker, ascending."""
    by_worker: dict[int, list[Mapping[str, Any]]] = {}
    for result in sorted(results, key=lambda result: result["start"]):
        by_worker.setdefault(result["pid"], []).append(result)
    pairs = (pair for tasks in by_worker.values() for pair in pairwise(tasks))
    return sorted(after["start"] - before["end"] for before, after in pairs)


def main() -> None:
    """Run the benchmark and print its numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--task-s", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2, help="tasks of each worker after all have started")
    parser.add_argument("--min-free-gb", type=float, default=6.0)
    arguments = parser.parse_args()
    free_mb = next(
        int(line.split()[1]) / 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    if free_mb - arguments.workers * WORKER_MB < 1000 * arguments.min_free_gb:
        parser.error(f"--workers: {free_mb:.0f} MB are free, too few for {arguments.workers}")
    source = Rounds(arguments.workers, arguments.rounds, arguments.task_s)
    resources = Resources(workers=arguments.workers, cpus_per_trial=1, gpus_per_trial=0, executor="ray_tune")
    paths = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # of the workers
    before_s = time.time()
    with open_executor("ray_tune", resources, Path("/tmp") / f"ray_actors_{os.getpid()}") as executor:
        opened_s = time.time() - before_s
        executor.run(Sleeper, source)
    between = gaps(source.results)
    numbers = {
        "workers": arguments.workers,
        "task_s": arguments.task_s,
        "tasks": len(source.results),
        "opened_s": opened_s,
        **busy_share(source.results, arguments.workers),
        "gap_s": {
            "median": between[len(between) // 2],
            "p90": between[int(0.9 * len(between))],
            "max": between[-1],
        },
        "usage_at_the_last_task": source.usage,
        "load": os.getloadavg(),
    }
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
