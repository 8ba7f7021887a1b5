"""Runs studies under random faults for a while, and prints a table of what became of them.

python tests/faults/soak.py --minutes 30 --seed 0 --faults worker,driver --executors ray_tune --json soak.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random

import optuna
import ray
import torch
from disturbance import Disturbance, FaultRecord, StudyRecord
from faults import DATABASES, EXECUTORS, FAULTS
from postgresql import PASSWORD, PostgreSQL, find_programs, running_postgresql
from schedule import plans

COLUMNS = (
    "fault",
    "count",
    "lost",
    "twice",
    "different",
    "other",
    "hangs",
    "median s",
    "worst s",
    "next step s",
    "ended",
)
KINDS = {
    "no_trial_is_lost": "lost",
    "no_architecture_is_trained_twice": "twice",
    "values_are_those_of_an_undisturbed_training": "different",
    "weights_belong_to_their_trial": "different",
}
"""Invariant -> the column of the table that counts what breaks it; others are counted together."""


def summary(studies: Iterable[StudyRecord]) -> list[dict[str, object]]:
    """A row for each kind of fault. A violation counts for the faults that hit its trial, or else for all of its study."""
    rows: dict[str, dict[str, int]] = {}
    times: dict[str, tuple[list[float], list[float]]] = {}
    for study in studies:
        for fault in study.faults:
            row = rows.setdefault(fault.fault, dict.fromkeys(("count", *KINDS.values(), "other", "hangs", "ended"), 0))
            recovery, step = times.setdefault(fault.fault, ([], []))
            row["count"] += 1
            row["hangs"] += fault.has_hung
            row["ended"] += bool(fault.exit_codes)
            recovery += [] if fault.recovery_s is None else [fault.recovery_s]
            step += [] if fault.next_step_s is None else [fault.next_step_s]
        for violation in study.violations:
            column = KINDS.get(violation.invariant, "other")
            hit = {fault.fault for fault in study.faults if violation.trial in fault.trials}
            for name in hit or {fault.fault for fault in study.faults}:
                rows[name][column] += 1
    return [
        {
            "fault": name,
            **rows[name],
            "median s": _round(statistics.median, times[name][0]),
            "worst s": _round(max, times[name][0]),
            "next step s": _round(statistics.median, times[name][1]),
        }
        for name in FAULTS
        if name in rows
    ]


def _round(function: object, values: Sequence[float]) -> float | None:
    return round(function(values), 1) if values and callable(function) else None


def table(rows: Sequence[dict[str, object]]) -> str:
    """The rows of `summary` as text."""
    lines = [COLUMNS, *(tuple("-" if row[name] is None else str(row[name]) for name in COLUMNS) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def versions() -> str:
    """The machine and the versions that matter."""
    libraries = ", ".join(f"{module.__name__} {module.__version__}" for module in (torch, ray, optuna))
    return f"{platform.node()}, {platform.platform()}, Python {platform.python_version()}, {libraries}"


def print_fault(fault: FaultRecord) -> None:
    """Print a line on a fault."""
    ended = f", exit codes {fault.exit_codes}" if fault.exit_codes else ""
    hung = ", HANGS" if fault.has_hung else ""
    print(
        f"{time.strftime('%H:%M:%S')} {fault.executor:8} {fault.fault:12} {fault.phase:11} recovered {fault.recovery_s} s,"
        f" next step {fault.next_step_s} s{ended}{hung}: {fault.detail}",
        flush=True,
    )


def main() -> int:
    """Soak; returns 1 if an invariant does not hold or a search hangs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="no study starts after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default=",".join(FAULTS), help=f"names, of {', '.join(FAULTS)}")
    parser.add_argument("--executors", default=",".join(EXECUTORS))
    parser.add_argument("--databases", default="sqlite", help=f"of {', '.join(DATABASES)}")
    parser.add_argument(
        "--nodes", type=int, default=0, help="of a Ray cluster; by default each search starts its own Ray"
    )
    parser.add_argument("--drivers", type=int, default=1, help="number of drivers of a study in PostgreSQL")
    parser.add_argument("--per-study", type=int, default=5, help="number of faults in a study")
    parser.add_argument("--trials", type=int, default=16, help="number of trials in a study")
    parser.add_argument("--hang", type=float, default=90, help="seconds without a step that count as a hang")
    parser.add_argument("--cache", type=Path, default=Path("build/faults"), help="folder of undisturbed trainings")
    parser.add_argument("--json", type=Path, help="file for everything that was seen")
    options = parser.parse_args()
    print(versions(), flush=True)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what was started is ended then, too
    with database_server(options.databases.split(",")) as server:
        studies = soak(options, Disturbance(options.cache, options.hang, server, print_fault))
    print(table(summary(studies)))
    is_clean = not any(
        study.violations or study.gave_up or any(fault.has_hung for fault in study.faults) for study in studies
    )
    return 0 if is_clean else 1


@contextmanager
def database_server(databases: Sequence[str]) -> Iterator[PostgreSQL | None]:
    """Yield a server if studies in PostgreSQL are among the `databases`.

    Raises:
        SystemExit: PostgreSQL is not installed.
    """
    if "postgresql" not in databases:
        yield None
        return
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed (`apt-get install postgresql`)")
    os.environ["PGPASSWORD"] = PASSWORD
    with running_postgresql(programs) as server:
        yield server


def soak(options: argparse.Namespace, disturbance: Disturbance) -> list[StudyRecord]:
    """Run studies one after the other for the time that the `options` say."""
    schedule = plans(
        options.seed,
        options.executors.split(","),
        options.faults.split(","),
        options.per_study,
        options.trials,
        options.databases.split(","),
        options.nodes,
        options.drivers,
    )
    random, studies, end = Random(options.seed), [], time.monotonic() + 60 * options.minutes
    for plan in schedule:
        if time.monotonic() > end:
            break
        study = disturbance.run(plan, random)
        studies.append(study)
        print_study(study, studies)
        if options.json:
            options.json.write_text(json.dumps([record_of(study) for study in studies], indent=1))
    return studies


def print_study(study: StudyRecord, studies: Sequence[StudyRecord]) -> None:
    """Print a line on a study, the last of `studies`, and what breaks an invariant in it."""
    faults, setup = sum(len(study.faults) for study in studies), study.plan.setup
    drivers = f", {setup.drivers} drivers" if setup.drivers > 1 else ""
    print(
        f"{time.strftime('%H:%M:%S')} study {len(studies)} ({setup.executor}, {setup.training}, {setup.database}{drivers}):"
        f" {study.seconds:.0f} s, {study.starts} starts, missed {study.missed}, {len(study.violations)} violations"
        f" {study.gave_up}; {faults} faults so far",
        flush=True,
    )
    for violation in study.violations:
        print(f"    {violation}", flush=True)


def record_of(study: StudyRecord) -> dict[str, object]:
    """A study as plain JSON."""
    return {
        "setup": asdict(study.plan.setup),
        "faults": [asdict(fault) for fault in study.faults],
        "missed": study.missed,
        "violations": [asdict(violation) for violation in study.violations],
        "starts": study.starts,
        "seconds": round(study.seconds, 1),
        "gave_up": study.gave_up,
    }


if __name__ == "__main__":
    sys.exit(main())
