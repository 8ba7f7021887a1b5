"""Seconds that reading a large study takes: what the dashboard and the reading commands do before they show anything.

    python tests/benchmarks/dashboard_study.py --trials 10000 --out runs/large
    python tests/benchmarks/dashboard_reading.py runs/large

Works on a copy of the study. Prints medians over `--repeats`, with the range: all trials as records (`read`); the columns of a
page, its front and its hypervolume, without and with the file of columns (`columns cold`, `columns warm`); one new trial
(`new trial`: from the look at the files to the updated front); whole commands (`nas front`, ...: from the start of the process to
its end); the highest memory of a process that builds the columns. Seconds are wall-clock seconds; those of the processor stand
beside them, since other programs disturb them less. `--json` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from dashboard_study import append_trials

from nas.analysis.columns import StudyColumns
from nas.analysis.columns_cache import identity_of, load_columns, save_columns
from nas.study.database.reader import START, Cursor, StudyReader
from nas.study.info import StudyInfo
from nas.study.layout import COLUMNS

COMMANDS = (["front"], ["front", "--json"], ["status"], ["show", "best"])
Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def timed(action: Callable[[], Any]) -> Seconds:
    """The seconds that `action` takes."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def timed_process(command: list[str]) -> Seconds:
    """The seconds that the process of `command` takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall_s, cpu_s


def read_columns(folder: Path, cache: Path | None = None) -> tuple[StudyReader, StudyColumns, Cursor, str]:
    """The columns of the study in `folder`, from the file `cache` as far as it goes, with the front."""
    reader = StudyReader.of_folder(folder)
    first = reader.read(START, limit=1)
    info = StudyInfo(folder, reader.name, first.attributes or {}, len(reader.directions))
    identity = identity_of(reader.name, first.trials[0])
    cached = None if cache is None else load_columns(cache, info.objectives, identity)
    columns, cursor = (StudyColumns(info.objectives), START) if cached is None else (cached.columns, cached.cursor)
    for changes in reader.batches(cursor):
        columns.update(changes.trials)
        cursor = changes.cursor
    if columns.front.hypervolumes:
        return reader, columns, cursor, identity
    raise ValueError(f"{folder}: has no complete trial")


def new_trial_seconds(folder: Path, repeats: int) -> list[Seconds]:
    """The seconds from the look at the files to the updated front, each time after one more trial."""
    reader, columns, cursor, _ = read_columns(folder)
    seconds = []
    for seed in range(repeats):
        append_trials(folder, 1, seed=seed)

        def read_on() -> None:
            nonlocal cursor
            if not reader.changed():
                raise ValueError("the new trial is not noticed")
            changes = reader.read(cursor)
            columns.update(changes.trials)
            cursor = changes.cursor
            columns.front.hypervolumes[-1:]

        seconds.append(timed(read_on))
    return seconds


def measure(folder: Path, repeats: int) -> dict[str, list[Seconds]]:
    """The seconds of each step, `repeats` times."""
    cache = folder / COLUMNS
    _, columns, cursor, identity = read_columns(folder)
    save_columns(cache, columns, cursor, identity)
    steps: dict[str, Callable[[], Any]] = {
        "read": lambda: StudyReader.of_folder(folder).read(),
        "columns cold": lambda: read_columns(folder),
        "columns warm": lambda: read_columns(folder, cache),
        "columns saved": lambda: save_columns(cache, columns, cursor, identity),
    }
    seconds = {name: [timed(step) for _ in range(repeats)] for name, step in steps.items()}
    nas = [sys.executable, "-m", "nas"]
    for command, *options in COMMANDS:
        name = " ".join(["nas", command, *options])
        seconds[name] = [timed_process([*nas, command, str(folder), *options]) for _ in range(repeats)]
    seconds["new trial"] = new_trial_seconds(folder, repeats)
    return seconds


def columns_memory_mb(folder: Path) -> float:
    """The highest memory of a process that reads the columns of the study in `folder`."""
    code = f"import dashboard_reading as d, pathlib, resource; d.read_columns(pathlib.Path({str(folder)!r})); " + (
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the folder of a study")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(shutil.copytree(args.study, Path(temporary) / "study"))
        memory_mb = columns_memory_mb(folder)
        seconds = measure(folder, args.repeats)
    if args.json:
        print(json.dumps({"memory_mb": memory_mb, "seconds": seconds}, indent=2))
        return
    for name, measured in seconds.items():
        wall_s, cpu_s = zip(*measured, strict=True)
        print(f"{name:16} {median(wall_s):8.3f} s ({min(wall_s):.3f} to {max(wall_s):.3f}), CPU {median(cpu_s):8.3f} s")
    print(f"{'memory':16} {memory_mb:8.0f} MB")


if __name__ == "__main__":
    main()
