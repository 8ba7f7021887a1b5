"""What the driver of a search costs, for increasing numbers of trials in the storage, and how busy it keeps many workers.

    python tests/benchmarks/driver_scale.py seconds --trials 100 1000 10000 50000
    python tests/benchmarks/driver_scale.py resume --trials 10000
    python tests/benchmarks/driver_scale.py memory --trials 10000 --more 3000
    python tests/benchmarks/driver_scale.py busy --workers 64 --trial-s 20

The studies are synthetic (`dashboard_study.py`): architectures, costs, learning curves and attributes as a real search of
`studies/folder.yaml` would write them, in SQLite. The driver is the real one, from the proposal to the record, with a terminal
display and a table of operator times; only trainings are made up. `busy` runs it on the simulator: trials take virtual time, and
each call of the driver advances the virtual clock by the seconds that it has taken, as workers would see it. Each measurement
has a process of its own. Seconds are of one core; "cpu" is the time of the process, "wall" that of the clock.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from rich.console import Console

if __name__ != "__mp_main__":
    sys.path.insert(0, str(Path(__file__).parent))
from dashboard_study import DEVICE, EPOCHS, RUNG, SPACE, generate_study

from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.plan import create_halving, create_sampler
from nas.execution.base import NoTask, Task, TaskSource
from nas.execution.simulator import Script, Simulator, VirtualClock
from nas.objectives.costs import costs_of
from nas.study.config import StudyConfig
from nas.study.layout import DATABASE
from nas.study.operator_table import OperatorTable, operator_times, operators_to_time
from nas.study.records import Completed, Measured, Paused, Trained, TrialTask, WorkerOutcome, to_record
from nas.study.segments import Segment
from nas.study.stored import StoredStudy
from nas.study.trial_database import driving
from nas.terminal.progress import TerminalDisplay
from search_space import Architecture, SearchSpace

OPERATOR_S = 1e-4
RUNNING = 8
"""Trials that run while `seconds`, `resume` and `memory` measure."""
PARTS = {
    "model": ["nas.sampler.objective_models:ObjectiveModels.estimate_front"],
    "candidates": [
        "nas.sampler.engine:Engine._score",
        "nas.sampler.engine:Engine._renew_candidates",
        "nas.sampler.candidate_pool:CandidatePool.add",
        "nas.sampler.candidate_pool:CandidatePool.available",
        "nas.sampler.engine:Engine.predict",
    ],
    "trials read": ["nas.sampler.study_reader:StudyReader.read"],
    "ask": ["optuna:Study.ask", "nas.study.trial_database:DatabaseTrials.open"],
    "parameters": ["optuna.storages._cached_storage:_CachedStorage.set_trial_param"],
    "attributes": ["optuna.trial:Trial.set_user_attr", "optuna.trial:Trial.set_constraint"],
    "tell": ["optuna:Study.tell"],
    "storage": ["nas.study.trial_database:DatabaseTrials.transact", "nas.study.trial_database:DatabaseTrials.read"],
    "ladder": ["nas.driver.halving:Ladder.promotion"],
    "segments": ["nas.driver.segment_log:SegmentLog.end", "nas.driver.segment_log:SegmentLog.read_workers"],
    "observers": ["nas.driver.ask_tell:AskTell.notify"],
}
"""Part of the driver's time -> the methods that it is spent in; time in a method of another part counts there."""


class Stopwatch:
    """CPU seconds spent in each of `PARTS`, exclusive of the others; methods that do not exist (any more) are left out."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = 0.0
        for part, places in PARTS.items():
            for place in places:
                self._wrap(part, place)

    def _wrap(self, part: str, place: str) -> None:
        module, _, path = place.partition(":")
        owner_name, _, name = path.partition(".")
        owner = getattr(import_module(module), owner_name, None)
        method = getattr(owner, name, None)
        if owner is None or method is None:
            return

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch(part)
            try:
                return method(*args, **kwargs)
            finally:
                self._switch(None)

        setattr(owner, name, timed)

    def _switch(self, part: str | None) -> None:
        """Enter `part`, or leave the current one."""
        now = time.process_time()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        if part is None:
            self._stack.pop()
        else:
            self._stack.append(part)
        self._since = now


class Trainings:
    """Made-up outcomes of trainings, such as those of `dashboard_study.py`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def outcome(self, architecture: Architecture, seed: int, until: int | None) -> WorkerOutcome:
        """The outcome of a segment up to `until`."""
        epochs = until or EPOCHS
        macs = costs_of(architecture).macs
        last = float(np.clip(0.55 + 0.1 * (np.log10(macs) - 6) + self.rng.normal(0, 0.02), 0.05, 0.99))
        noise = self.rng.normal(0, 0.005, epochs).tolist()
        curve = [
            {
                "epoch": 1 + epoch,
                "train_loss": 2.3 * 0.9**epoch * (1 + noise[epoch]),
                "val_loss": 2.3 * 0.91**epoch * (1 + noise[epoch]),
                "val_accuracy": float(np.clip(last * (1 - 0.8 ** (2 + epoch)) + noise[epoch], 0.0, 1.0)),
                "lr": 0.003 * (EPOCHS - epoch) / EPOCHS,
                "train_s": 0.9,
                "wall_s": 1.0 + epoch,
            }
            for epoch in range(epochs)
        ]
        images_per_s = float(3e9 / macs**0.7 * self.rng.uniform(0.9, 1.1))
        details = {"images_per_s_interval": [0.98 * images_per_s, 1.02 * images_per_s], "batch_size": 256, "drift": 1.0}
        measured = Measured({"images_per_s": images_per_s}, {"throughput": details}, DEVICE)
        trained = Trained({"accuracy": curve[-1]["val_accuracy"]}, curve, 0.9 * epochs, epochs + 0.7, 0.7)
        if epochs < EPOCHS:
            return Paused(seed, measured, trained, 0.1, epoch=epochs)
        return Completed(seed, measured, trained, 0.1)


@dataclass
class OpenedSearch:
    """A search of a synthetic study, as `nas search` opens it, up to the point where trials are proposed."""

    folder: Path
    sampler: str
    halves: bool
    target: int
    workers: int = RUNNING
    trainings: Trainings = field(default_factory=Trainings)
    ask_tell: AskTell = field(init=False)

    def __post_init__(self) -> None:
        overrides = ["data.path=PHOTOS", f"train.epochs={EPOCHS}", f"sampler.name={self.sampler}"]
        if self.halves:
            overrides += ["scheduler.name=halving", f"scheduler.first_epochs={RUNG}", "scheduler.reduction=4"]
        config = StudyConfig.from_file(SPACE, *overrides)
        space = SearchSpace.from_file(SPACE)
        operators = operators_to_time(space, config.seed)
        table = OperatorTable(operator_times(operators, [OPERATOR_S] * len(operators)), 256)
        start = time.perf_counter()
        study = StoredStudy.open(self.folder)
        existing = len(study.trials)
        study.optuna.sampler = create_sampler(config, space, (), {"images_per_s": table}, existing)
        self.ask_tell = AskTell(
            study.optuna,
            space,
            study.objectives,
            existing + self.target,
            folder_of=lambda number: self.folder / "trials" / f"{number:05d}",
            seed=config.seed,
            halving=create_halving(config),
            observers=(_terminal_observer(),),
            store=ExitStack().enter_context(driving(study.optuna, self.folder, None)),
        )
        self.ask_tell.start(self.workers)
        self.opened_s = time.perf_counter() - start


def _terminal_observer() -> Any:
    """The display of a search on a terminal that nobody sees."""
    stack = ExitStack()
    return stack.enter_context(TerminalDisplay(Console(file=StringIO(), force_terminal=True)).trials())


def prepare(folder: Path, trials: int, halves: bool) -> Path:
    """A synthetic study of `trials` trials in `folder`; with `halves` three of four complete ones were stopped at the rung."""
    generate_study(folder, trials)
    if not halves:
        return folder
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript(f"""
            INSERT OR IGNORE INTO trial_intermediate_values
                (trial_id, step, intermediate_value, intermediate_value_type)
            SELECT t.trial_id, {RUNG}, json_extract(a.value_json, '$[{RUNG - 1}].val_accuracy'), 'FINITE'
            FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'curve'
            WHERE t.state = 'COMPLETE';
            CREATE TEMP TABLE stopped AS SELECT trial_id FROM trials WHERE state = 'COMPLETE' AND trial_id % 4 > 0;
            DELETE FROM trial_values WHERE trial_id IN stopped;
            UPDATE trials SET state = 'PRUNED' WHERE trial_id IN stopped;
            UPDATE trial_user_attributes SET value_json = '"stopped"' WHERE key = 'outcome' AND trial_id IN stopped;
        """)
    return folder


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
    search = OpenedSearch(folder, sampler, halves, 10 * repeats + 1000)
    running: list[Any] = []
    step(search, running)
    watch.seconds.clear()
    rows = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step(search, running)
        rows.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*rows, strict=True)
    parts = {part: seconds / repeats for part, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1])}
    parts["other"] = sum(walls) / repeats - sum(parts.values())
    return {
        "wall_s": {"mean": sum(walls) / repeats, "median": median(walls), "slowest": max(walls)},
        "cpu_s": {"mean": sum(cpus) / repeats, "median": median(cpus), "slowest": max(cpus)},
        "parts_s": parts,
    }


def measure_resume(folder: Path, sampler: str, halves: bool) -> dict[str, Any]:
    """Seconds from opening the study to the first proposal."""
    wall, cpu = time.perf_counter(), time.process_time()
    search = OpenedSearch(folder, sampler, halves, 100)
    prepared_s = time.perf_counter() - wall - search.opened_s
    search.ask_tell.propose()
    return {
        "wall_s": time.perf_counter() - wall - prepared_s,
        "opened_s": search.opened_s,
        "cpu_s": time.process_time() - cpu - prepared_s,
    }


def measure_memory(folder: Path, sampler: str, halves: bool, more: int) -> dict[str, Any]:
    """Growth of the driver's memory over the last two thirds of `more` segments, by least squares."""
    search = OpenedSearch(folder, sampler, halves, 10 * more + 1000)
    running: list[Any] = []
    opened = _rss_bytes()
    sizes = []
    for _ in range(more):
        step(search, running)
        sizes.append((len(search.ask_tell.state.study.get_trials(deepcopy=False)), _rss_bytes()))
    trials, rss = np.array(sizes[more // 3 :], dtype=float).T
    slope = float(np.polyfit(trials, rss, 1)[0])
    return {"opened_mb": opened / 1e6, "end_mb": rss[-1] / 1e6, "bytes_per_trial": slope}


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class TimedSource(TaskSource):
    """A source whose calls take their time on the clock of a simulation, and which counts the seconds that workers are busy."""

    def __init__(self, source: TaskSource, clock: VirtualClock) -> None:
        self.source = source
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.starts_s: list[float] = []
        self.ends_s: list[float] = []

    def next_task(self) -> Task | NoTask:
        return self._time("next_task", self.source.next_task)

    def on_started(self, task: Task) -> None:
        self.starts_s.append(self.clock.now_s)
        self._time("on_started", lambda: self.source.on_started(task))

    def on_ended(self, task: Task, result: Any) -> None:
        self.ends_s.append(self.clock.now_s)
        self._time("on_ended", lambda: self.source.on_ended(task, result))

    def tick(self) -> None:
        self._time("tick", self.source.tick)

    def _time(self, name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        try:
            return call()
        finally:
            seconds = time.perf_counter() - start
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
    search = OpenedSearch(folder, sampler, halves, workers * per_worker, workers)
    rng = np.random.default_rng(0)
    durations: dict[str, float] = {}

    def duration_s(task: Task, attempt: int) -> float:
        return durations.setdefault(task.name, trial_s * float(rng.uniform(0.5, 1.5)))

    simulator = Simulator(Script(duration_s), (workers,))
    source = TimedSource(TrialDispatcher(search.ask_tell, workers, clock=simulator.clock), simulator.clock)
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
    default_trials = {"seconds": [100, 1000, 10_000, 50_000], "resume": [10_000], "memory": [10_000], "busy": [1000]}
    rows = []
    with tempfile.TemporaryDirectory(prefix="driver-scale-") as temporary:
        for trials in args.trials or default_trials[args.what]:
            for scheduler in args.schedulers:
                kept = (args.studies or Path(temporary)) / f"{scheduler}-{trials}"
                if not kept.exists():
                    prepare(kept, trials, scheduler == "halving")
                for sampler in args.samplers:
                    for workers in args.workers if args.what == "busy" else [RUNNING]:
                        folder = Path(temporary) / "study"
                        shutil.copytree(kept, folder)
                        measurement = {
                            "seconds": partial(measure_seconds, repeats=args.repeats),
                            "resume": measure_resume,
                            "memory": partial(measure_memory, more=args.more),
                            "busy": partial(
                                measure_busy, workers=workers, trial_s=args.trial_s, per_worker=args.per_worker
                            ),
                        }[args.what]
                        result = run_alone(partial(measurement, folder, sampler, scheduler == "halving"))
                        shutil.rmtree(folder)
                        row = {
                            "trials": trials,
                            "sampler": sampler,
                            "scheduler": scheduler,
                            "workers": workers,
                            **result,
                        }
                        rows.append(row)
                        if not args.json:
                            print(_line(row), flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))


def _line(row: Mapping[str, Any]) -> str:
    """A row as text."""
    parts = []
    for name, value in row.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{key} {1000 * seconds:.1f}" for key, seconds in value.items())
            parts.append(f"{name.replace('_s', '')} ms: {inner}")
        else:
            parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
