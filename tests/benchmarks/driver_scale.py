"""What the driver of a search costs, for increasing numbers of trials in the storage, and how busy it keeps many workers.

    python tests/benchmarks/driver_scale.py seconds --trials 100 1000 10000 50000
    python tests/benchmarks/driver_scale.py resume --trials 10000
    python tests/benchmarks/driver_scale.py memory --trials 10000 --more 3000
    python tests/benchmarks/driver_scale.py busy --workers 64 --trial-s 20

The studies are synthetic (`dashboard_study.py`): architectures, costs, learning curves and attributes as a real search of
`studies/folder.yaml` would write them, in SQLite. The driver is the real one, from the proposal to the record, with a terminal
display and a table of operator times; only trainings are made up. `busy` runs it on the simulator: trials take virtual time, and
each call of the driver advances the virtual clock by the CPU seconds that it has taken (it hardly waits for the disk, and a
machine that is shared does not count). Each measurement has a process of its own. "cpu" is the time of the driver's thread on one
core, "wall" that of the clock, and the parts are CPU seconds; the thread that refreshes the display counts in neither.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from synthetic_search import RUNNING, OpenedSearch, Stopwatch, Trainings, prepare

from nas.driver.dispatch import TrialDispatcher
from nas.execution.base import Loss, NoTask, Task, TaskSource
from nas.execution.simulator import Script, Simulator, VirtualClock
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.segments import Segment
from search_space import Architecture

MEMORY_PARTS = 9
DEFAULT_TRIALS = {"seconds": [100, 1000, 10_000, 50_000], "resume": [10_000], "memory": [10_000], "busy": [1000]}


def step(search: OpenedSearch, running: list[Any]) -> None:
    """Give one free worker its next segment, and record the oldest one that runs."""
    while len(running) <= search.workers:
        running.append(search.ask_tell.propose())
        search.ask_tell.start_trial(running[-1].number)
    proposal = running.pop(0)
    outcome = search.trainings.outcome(proposal.architecture, proposal.seed, proposal.until)
    now = time.time()
    segment = Segment(f"node/cuda:0/{proposal.number % search.workers}", now - 20, now, 2.0, 16.0, 2.0, proposal.until)
    search.ask_tell.record(proposal.number, outcome, segment)


def measure_seconds(folder: Path, sampler: str, halves: bool, repeats: int) -> dict[str, Any]:
    """Seconds of each of `repeats` segments (one proposal and one record), after those that fill the workers."""
    watch = Stopwatch()
    with OpenedSearch(folder, sampler, halves, 10 * repeats + 1000) as search:
        running: list[Any] = []
        step(search, running)
        watch.seconds.clear()
        rows = []
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.thread_time()
            step(search, running)
            rows.append((time.perf_counter() - wall, time.thread_time() - cpu))
        walls, cpus = zip(*rows, strict=True)
        parts = {part: seconds / repeats for part, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1])}
        parts["other"] = sum(cpus) / repeats - sum(parts.values())
    return {
        "wall_s": {"mean": sum(walls) / repeats, "median": median(walls), "slowest": max(walls)},
        "cpu_s": {"mean": sum(cpus) / repeats, "median": median(cpus), "slowest": max(cpus)},
        "parts_s": parts,
    }


def measure_resume(folder: Path, sampler: str, halves: bool) -> dict[str, Any]:
    """Seconds from opening the study to the first proposal."""
    with OpenedSearch(folder, sampler, halves, 100) as search:
        wall, cpu = time.perf_counter(), time.thread_time()
        search.ask_tell.propose()
        wall_s, cpu_s = time.perf_counter() - wall, time.thread_time() - cpu
    return {
        "wall_s": search.opened_s + wall_s,
        "cpu_s": search.opened_cpu_s + cpu_s,
        "opened_cpu_s": search.opened_cpu_s,
    }


def measure_memory(folder: Path, sampler: str, halves: bool, more: int) -> dict[str, Any]:
    """Growth of the driver's memory over the last three quarters of `more` segments.

    Caches of bounded size fill and are emptied again; so the slope is that of the lowest memory within each of several parts.
    """
    with OpenedSearch(folder, sampler, halves, 10 * more + 1000) as search:
        running: list[Any] = []
        opened = _rss_bytes()
        sizes = np.empty((more, 2))
        for row in sizes:
            step(search, running)
            row[:] = len(search.ask_tell.state.study.get_trials(deepcopy=False)), _rss_bytes()
    parts = np.array_split(sizes[more // 4 :], MEMORY_PARTS)
    trials, rss = np.array([part[part[:, 1].argmin()] for part in parts]).T
    slope = float(np.polyfit(trials, rss, 1)[0])
    grown = f"{trials[-1] - trials[0]:.0f}"
    return {
        "opened_mb": opened / 1e6,
        "lowest_mb": (rss / 1e6).tolist(),
        "over_trials": grown,
        "bytes_per_trial": slope,
    }


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class TimedSource(TaskSource):
    """A source whose calls take their time on the clock of a simulation, and which counts the seconds that workers are busy."""

    source: TaskSource

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._entered_s: float | None = None  # CPU time at which the call that runs has begun
        self.calls: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.starts_s: list[float] = []
        self.ends_s: list[float] = []

    def now(self) -> float:
        """The virtual time, which passes within a call, too."""
        return self.clock.now_s + (0.0 if self._entered_s is None else time.thread_time() - self._entered_s)

    def next_task(self) -> Task | NoTask:
        return self._time("next_task", self.source.next_task)

    def on_started(self, task: Task) -> None:
        self.starts_s.append(self.clock.now_s)
        self._time("on_started", lambda: self.source.on_started(task))

    def on_ended(self, task: Task, result: Any) -> None:
        self.ends_s.append(self.clock.now_s)
        self._time("on_ended", lambda: self.source.on_ended(task, result))

    def on_lost(self, task: Task, loss: Loss) -> bool:
        return self.source.on_lost(task, loss)

    def tick(self) -> None:
        self._time("tick", self.source.tick)

    def _time(self, name: str, call: Callable[[], Any]) -> Any:
        start = self._entered_s = time.thread_time()
        try:
            return call()
        finally:
            seconds, self._entered_s = time.thread_time() - start, None
            self.clock.now_s += seconds
            self.calls[name] += 1
            self.seconds[name] += seconds


class SimulatedWorker:
    """Returns made-up outcomes."""

    def __init__(self) -> None:
        self.trainings = Trainings(1)

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        task = TrialTask.from_dict(payload)
        return to_record(self.trainings.outcome(Architecture.from_json(task.architecture), task.seed, task.until))


def measure_busy(
    folder: Path, sampler: str, halves: bool, workers: int, trial_s: float, per_worker: int
) -> dict[str, Any]:
    """Share of time that simulated workers are busy, while `per_worker` trials each are started."""
    with OpenedSearch(folder, sampler, halves, workers * per_worker, workers) as search:
        rng = np.random.default_rng(0)
        durations: dict[str, float] = {}

        def duration_s(task: Task, attempt: int) -> float:
            return durations.setdefault(task.name, trial_s * float(rng.uniform(0.5, 1.5)))

        simulator = Simulator(Script(duration_s), (workers,))
        source = TimedSource(simulator.clock)
        source.source = TrialDispatcher(search.ask_tell, workers, clock=source.now)
        simulator.run(lambda device: SimulatedWorker(), source)
        filled_s, last_s = source.starts_s[workers - 1], source.starts_s[-1]
        lengths = [durations[name] for name in durations]
        spans = [(start, start + length) for start, length in zip(source.starts_s, lengths, strict=True)]
        busy_s = sum(max(0.0, min(end, last_s) - max(start, filled_s)) for start, end in spans)
        calls = {name: seconds / max(1, len(spans)) for name, seconds in source.seconds.items()}
    return {
        "busy": busy_s / (workers * (last_s - filled_s)),
        "filled_s": filled_s,
        "trials": len(spans),
        "driver_s_per_trial": sum(calls.values()),
        "parts_s": calls,
    }


def run_alone(measurement: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run `measurement` in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measurement)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["seconds", "resume", "memory", "busy"])
    parser.add_argument("--trials", type=int, nargs="+", help="trials in the storage at the start")
    parser.add_argument("--samplers", nargs="+", default=["pareto", "random"])
    parser.add_argument("--schedulers", nargs="+", default=["none", "halving"], choices=["none", "halving"])
    parser.add_argument("--repeats", type=int, default=60, help="segments that `seconds` measures")
    parser.add_argument("--more", type=int, default=3000, help="segments over which `memory` measures")
    parser.add_argument("--workers", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--trial-s", type=float, default=20.0, help="mean duration of a simulated segment")
    parser.add_argument("--per-worker", type=int, default=6, help="trials of each simulated worker")
    parser.add_argument("--studies", type=Path, help="where synthetic studies are kept for the next run")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory(prefix="driver-scale-") as temporary:
        for trials in args.trials or DEFAULT_TRIALS[args.what]:
            for scheduler in args.schedulers:
                kept = (args.studies or Path(temporary)) / f"{scheduler}-{trials}"
                if not kept.exists():
                    prepare(kept, trials, scheduler == "halving")
                for sampler in args.samplers:
                    for workers in args.workers if args.what == "busy" else [RUNNING]:
                        setting = {"trials": trials, "sampler": sampler, "scheduler": scheduler, "workers": workers}
                        rows.append({**setting, **_measure(args, kept, Path(temporary) / "study", setting)})
                        if not args.json:
                            print(_line(rows[-1]), flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))


def _measure(args: argparse.Namespace, kept: Path, folder: Path, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Measure a copy of the study `kept` in a process of its own."""
    busy = partial(measure_busy, workers=setting["workers"], trial_s=args.trial_s, per_worker=args.per_worker)
    measurements: dict[str, Callable[..., dict[str, Any]]] = {
        "seconds": partial(measure_seconds, repeats=args.repeats),
        "resume": measure_resume,
        "memory": partial(measure_memory, more=args.more),
        "busy": busy,
    }
    shutil.copytree(kept, folder)
    try:
        halves = setting["scheduler"] == "halving"
        return run_alone(partial(measurements[args.what], folder, setting["sampler"], halves))
    finally:
        shutil.rmtree(folder)


def _line(row: Mapping[str, Any]) -> str:
    """A row as text."""
    parts = []
    for name, value in row.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{key} {1000 * seconds:.1f}" for key, seconds in value.items())
            parts.append(f"{name.replace('_s', '')} ms: {inner}")
        elif isinstance(value, list):
            parts.append(f"{name} {' '.join(f'{number:.1f}' for number in value)}")
        else:
            parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
