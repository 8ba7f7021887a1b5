r"""Trainings to a share of the true hypervolume where proposals are made one by one and in batches, over several tables.

    python tests/benchmarks/batches.py --table nas-bench-macro_cifar10.json --table nas-bench-201_cifar10.json \
        --table protein.csv val_loss:min:log model_size:min:cheap:log val_loss=0.4 --seeds 5

A table is a file of `nas bench search --table`; objectives, as `--objective` has them, and values at the reference point, as
`--reference` has them, may follow it. The samplers:

    pareto          one proposal from one model
    pareto_4        always four at once, though one worker waits: the last ones know nothing of up to three results
    pareto_16       always 16
    all_waiting     16 at once until all workers train, then one by one: what the driver does with many workers if it keeps up
    quarter         a quarter of the workers that wait at once, at most 16

Prints the mean over seeds of the number of trainings to 95 % and to 99 % of the hypervolume of the table (a run that does not
reach it counts as one training more than it has), and for each sampler the geometric mean over tables of its ratio to `pareto`
with as many workers. `--out` keeps the results of runs, one a line, and continues with those that are missing.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean, mean
from typing import Any

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.bench.column_roles import ColumnOptions
from nas.bench.simulation import RunSpec, simulate
from nas.bench.summary import trainings_to
from nas.bench.table import BenchmarkTable, load_table
from nas.sampler import ParetoSampler, SamplerContext, create, register

TARGETS = (0.95, 0.99)
RULES: dict[str, Callable[[int], int]] = {
    "all_waiting": lambda waiting: waiting,
    "quarter": lambda waiting: max(1, waiting // 4),
}
SAMPLERS = ("pareto", "pareto_4", "pareto_16", *RULES)


class WaitingSampler(BaseSampler):
    """A `ParetoSampler` that is told how many workers wait, as a driver does that keeps up with them.

    Args:
        sampler: the sampler.
        workers: all of them wait until the first training has ended; then one at a time does.
        batch_of: maps the number of workers that wait to that of trials to plan at once.
    """

    def __init__(self, sampler: ParetoSampler, workers: int, batch_of: Callable[[int], int]) -> None:
        self.sampler = sampler
        self.workers = workers
        self.batch_of = batch_of
        self.num_asked = 0
        self.has_result = False

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        self.sampler.expect(1 if self.has_result else self.batch_of(max(1, self.workers - self.num_asked)))
        self.num_asked += 1
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.sampler.after_trial(study, trial, state, values)
        self.has_result |= state == TrialState.COMPLETE


def register_waiting(name: str, workers: int, batch_of: Callable[[int], int]) -> None:
    """Register `WaitingSampler` as `name` for so many `workers`."""

    @register(f"{name}/{workers}", uses_features=True, benchmark_only=True)
    def create_waiting(context: SamplerContext) -> BaseSampler:
        sampler = create("pareto", context)
        assert isinstance(sampler, ParetoSampler)
        return WaitingSampler(sampler, workers, batch_of)


def read_table(file: str, *words: str) -> BenchmarkTable:
    """The table in `file`; `words` are objectives and values at the reference point."""
    objectives = tuple(word for word in words if "=" not in word)
    reference = dict(word.split("=") for word in words if "=" in word)
    options = ColumnOptions(objectives=objectives)
    return load_table(Path(file), options, {name: float(value) for name, value in reference.items()})


def measure(table: BenchmarkTable, name: str, sampler: str, workers: int, seed: int, trainings: int) -> dict[str, Any]:
    """The result of one run."""
    registered = f"{sampler}/{workers}" if sampler in RULES else sampler
    result = simulate(table, RunSpec(registered, workers, seed), trainings)
    return {
        "table": name,
        "sampler": sampler,
        "workers": workers,
        "seed": seed,
        "trainings_to": [min(trainings_to(result.shares, target), len(result.shares) + 1.0) for target in TARGETS],
        "last": result.shares[-1],
        "suggest_s": mean(result.suggest_s),
    }


def print_summary(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the means, and the ratios to proposals one by one."""
    groups: defaultdict[tuple[int, str], defaultdict[str, list[Mapping[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        groups[row["workers"], row["sampler"]][row["table"]].append(row)
    for (workers, sampler), tables in groups.items():
        parts, ratios = [], []
        for table, runs in tables.items():
            means = [mean(run["trainings_to"][i] for run in runs) for i in range(len(TARGETS))]
            alone = {run["seed"]: run["trainings_to"] for run in groups[workers, "pareto"][table]}
            compared = [alone[run["seed"]] for run in runs if run["seed"] in alone]
            if len(compared) == len(runs):
                ratios.append([means[i] / mean(trainings[i] for trainings in compared) for i in range(len(TARGETS))])
            parts.append(f"{table} {' '.join(f'{value:.1f}' for value in means)} ({len(runs)})")
        ratio = " ".join(f"{geometric_mean(column):.3f}" for column in zip(*ratios, strict=True)) if ratios else "-"
        print(f"{workers:3d} workers, {sampler:13s}: ratio {ratio}; {', '.join(parts)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", action="append", required=True, metavar=("FILE", "OBJECTIVE"))
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, choices=SAMPLERS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a file that keeps results, one a line")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out and args.out.is_file() else []
    done = {(row["table"], row["sampler"], row["workers"], row["seed"]) for row in rows}
    for rule, batch_of in RULES.items():
        for workers in args.workers:
            register_waiting(rule, workers, batch_of)
    tables = {Path(words[0]).stem: read_table(*words) for words in args.table}
    for seed in range(args.seeds):
        for name, table in tables.items():
            for workers in args.workers:
                for sampler in args.samplers if workers > 1 else ["pareto"]:  # one worker never waits for another
                    if (name, sampler, workers, seed) in done:
                        continue
                    rows.append(measure(table, name, sampler, workers, seed, args.trainings))
                    if args.out:
                        with args.out.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_summary(rows)


if __name__ == "__main__":
    main()
