"""How one, two and four drivers share a study in PostgreSQL: trials per second, duplicates, and the trials of each driver.

    python tests/benchmarks/several_drivers.py --drivers 1 2 4 --trials 400 --trial-s 1 --samplers random pareto

Each driver is a process of its own with `--workers` workers that only sleep; everything else is real: the sampler, the steps in
the database, leases and heartbeats. A server of its own is started on a free port (`tests/faults/postgresql.py`).
"Duplicates" are architectures that were trained twice, which must not happen; "suggested twice" are suggestions that two drivers
made at the same time, of which one was dropped before it was trained.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from postgresql import find_programs, running_postgresql

from nas import objectives
from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.execution.base import FINISHED, Task, TaskSource
from nas.objectives.costs import costs_of
from nas.study.config import StudyConfig
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.trial_database import driving
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.study_sampler import create_sampler
from nas.study.trials import is_trained, outcome_name
from search_space import Architecture, SearchSpace

SPACE = Path(__file__).parents[2] / "studies" / "folder.yaml"
TICK_S = 0.01


def run_sleeping_workers(source: TaskSource, workers: int, trial_s: float) -> None:
    """Run the tasks of `source` on workers that sleep."""
    running: list[tuple[float, int, Task]] = []
    count, is_finished = 0, False
    while running or not is_finished:
        source.tick()
        while not is_finished and len(running) < workers:
            task = source.next_task()
            is_finished = task is FINISHED
            if not isinstance(task, Task):
                break
            heapq.heappush(running, (time.perf_counter() + trial_s, count := count + 1, task))
            source.on_started(task)
        while running and running[0][0] <= time.perf_counter():
            task = heapq.heappop(running)[2]
            source.on_ended(task, outcome_of(TrialTask.from_dict(task.payload), trial_s))
        time.sleep(TICK_S)


def outcome_of(task: TrialTask, trial_s: float) -> dict[str, Any]:
    """A made-up outcome: accuracy rises with MACs."""
    macs = costs_of(Architecture.from_json(task.architecture)).macs
    trained = Trained({"accuracy": 1 - 1 / macs**0.1}, [{"epoch": 1}], trial_s, trial_s, 0.0)
    return to_record(Completed(task.seed, Measured({"images_per_s": 3e9 / macs**0.7}), trained))


def drive(url: str, folder: Path, sampler: str, trials: int, workers: int, trial_s: float, begun: Any) -> None:
    """Run one driver until it has nothing more to do."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = StudyConfig.from_file(SPACE, "data.path=PHOTOS", f"sampler.name={sampler}")
    space, place = SearchSpace.from_file(SPACE), StoragePlace(StorageUrl.parse(url), "benchmark")
    study = open_server_study(place)
    begun.wait()
    with driving(study, folder, place) as store:
        study.sampler = create_sampler(config, space, existing_trials=1_000_003 * store.index)
        chosen = [objectives.get(name) for name in config.objectives]
        ask_tell = AskTell(study, space, chosen, trials, lambda number: folder / str(number), store=store)
        dispatcher = TrialDispatcher(ask_tell, workers)
        run_sleeping_workers(dispatcher, workers, trial_s)
        dispatcher.settle()


def measure(url: str, sampler: str, drivers: int, trials: int, workers: int, trial_s: float) -> dict[str, Any]:
    """Run `drivers` drivers on a new study in the database at `url`."""
    config = StudyConfig.from_file(SPACE, "data.path=PHOTOS")
    directions = [objectives.get(name).direction for name in config.objectives]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="several-drivers-") as temporary:
        folder = Path(temporary)
        create_study(folder, "benchmark", directions, {}, storage=StorageUrl.parse(url))
        begun = context.Barrier(drivers + 1)
        arguments = (url, folder, sampler, trials, workers, trial_s, begun)
        processes = [context.Process(target=drive, args=arguments) for _ in range(drivers)]
        for process in processes:
            process.start()
        begun.wait()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise SystemExit("a driver has failed")
    stored = open_server_study(StoragePlace(StorageUrl.parse(url), "benchmark")).get_trials()
    trained = [trial for trial in stored if is_trained(trial)]
    ends = [trial.datetime_complete for trial in trained if trial.datetime_complete]
    starts = [trial.datetime_start for trial in trained if trial.datetime_start]
    seconds = (max(ends) - min(starts)).total_seconds()
    return {
        "sampler": sampler,
        "drivers": drivers,
        "trials": len(trained),
        "seconds": seconds,
        "trials_per_s": len(trained) / seconds,
        "ideal_trials_per_s": drivers * workers / trial_s,
        "duplicates": len(trained) - len({trial.user_attrs["id"] for trial in trained}),
        "suggested_twice": sum(outcome_name(trial) == "duplicate" for trial in stored),
        "trials_of_drivers": sorted(Counter(trial.user_attrs["driver"] for trial in trained).values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drivers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--samplers", nargs="+", default=["random", "pareto"])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2, help="workers of each driver")
    parser.add_argument("--trial-s", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed")
    with running_postgresql(programs) as server:
        for sampler in args.samplers:
            for drivers in args.drivers:
                url = server.create_database().replace("@", f":{quote(server.password, safe='')}@")
                rows.append(measure(url, sampler, drivers, args.trials, args.workers, args.trial_s))
                if not args.json:
                    print(_line(rows[-1]), flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['sampler']:8} {row['drivers']} drivers: {row['trials']} trials in {row['seconds']:.1f} s,"
        f" {row['trials_per_s']:.2f}/s of at most {row['ideal_trials_per_s']:.0f}/s, {row['duplicates']} duplicates,"
        f" {row['suggested_twice']} suggested twice, of each driver {row['trials_of_drivers']}"
    )


if __name__ == "__main__":
    main()
