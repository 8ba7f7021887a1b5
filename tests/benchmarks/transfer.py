"""What an earlier study on other data saves: trainings to the front of a table, with and without the results of another table.

    python tests/benchmarks/transfer.py --data TABLES --pairs fcnet_protein:fcnet_naval mlp_car:mlp_phoneme --seeds 5

Tables are those of `search_suite`; the two of a pair have the same search space. The earlier study is a search of `--earlier`
trainings on the first. The study on the second then begins in one of four ways:

    new      without it
    points   its front is trained first
    model    its results inform the model (`ParetoSampler(prior=...)`)
    both     both, as `nas search` with `start.study` does

Prints for each pair and each way the median (worst) number of trainings to 95 % and 99 % of the hypervolume of the second
table, and the median share after 10 and 30 trainings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from search_suite.command import open_problem
from search_suite.tables import TableProblem

from nas.analysis.front import Volume, front_mask
from nas.bench.samplers import create_context
from nas.bench.summary import trainings_to
from nas.bench.table import BenchmarkTable
from nas.sampler.registry import create

WAYS = ("new", "points", "model", "both")
Results = list[tuple[Mapping[str, Any], list[float]]]


def search(
    table: BenchmarkTable, seed: int, trainings: int, first: Sequence[Mapping[str, Any]], prior: Results
) -> Results:
    """Search `table`; `first` are trained first, and the values of `prior` inform the model."""
    context = create_context(table, seed)
    known = tuple((dict(params), values[context.primary or 0]) for params, values in prior)
    sampler = create("pareto", replace(context, prior=known))
    study = optuna.create_study(directions=[item.direction for item in table.objectives], sampler=sampler)
    for params in first:
        study.enqueue_trial(dict(params))
    results: Results = []
    while len(results) < trainings:
        trial = study.ask(dict(table.distributions))
        row = table.row(trial.params)
        if row is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        values = table.values[row].tolist()
        study.tell(trial, values)
        results.append((trial.params, values))
    return results


def shares_of(table: BenchmarkTable, results: Results) -> list[float]:
    """The hypervolume after each training, relative to that of the table."""
    volume, shares = Volume(len(table.objectives)), []
    for params, _ in results:
        row = table.row(params)
        assert row is not None
        volume.add(table.unit_values[row])
        shares.append(volume.value / table.hypervolume)
    return shares


def compare(
    earlier: BenchmarkTable, later: BenchmarkTable, seed: int, args: argparse.Namespace
) -> dict[str, list[float]]:
    """The shares of each way."""
    known = search(earlier, seed, args.earlier, (), [])
    mask = front_mask([values for _, values in known], [item.direction for item in earlier.objectives])
    front = [params for (params, _), on_front in zip(known, mask, strict=True) if on_front]
    starts: dict[str, tuple[Sequence[Mapping[str, Any]], Results]] = {
        "new": ((), []),
        "points": (front, []),
        "model": ((), known),
        "both": (front, known),
    }
    return {way: shares_of(later, search(later, seed, args.trainings, *starts[way])) for way in WAYS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of tables")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--pairs", nargs="+", default=["fcnet_protein:fcnet_naval", "mlp_car:mlp_phoneme"])
    parser.add_argument("--earlier", type=int, default=50)
    parser.add_argument("--trainings", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    report: dict[str, dict[str, list[list[float]]]] = {}
    for pair in args.pairs:
        tables = []
        for name in pair.split(":"):
            problem = open_problem(name, args.data, args.cache)
            assert isinstance(problem, TableProblem), f"{name} is no table"
            tables.append(problem.table)
        if tables[0].distributions != tables[1].distributions:
            parser.error(f"--pairs: must have the same choices, found {pair}")
        runs = [compare(tables[0], tables[1], seed, args) for seed in range(args.seeds)]
        report[pair] = {way: [run[way] for run in runs] for way in WAYS}
        if args.json:
            continue
        print(pair)
        for way in WAYS:
            all_shares = report[pair][way]
            numbers = [[trainings_to(shares, target) for shares in all_shares] for target in (0.95, 0.99)]
            reached = ", ".join(f"{median(each):4.0f} ({max(each):.0f})" for each in numbers)
            after = ", ".join(
                f"{median(shares[min(n, len(shares)) - 1] for shares in all_shares):.3f}" for n in (10, 30)
            )
            print(f"  {way:8s} to 95 %, 99 %: {reached}   after 10, 30: {after}", flush=True)
    if args.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
