"""A table as NumPy arrays in a file, which is read in a fraction of the time that its text takes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from nas.analysis.front import Bounds
from nas.bench.table import BenchmarkTable
from nas.objectives import Objective

FORMAT = 1


def store(table: BenchmarkTable, file: Path, origin: str) -> None:
    """Write `table` to `file`; `origin` says what it was made from."""
    levels = {name: {value: i for i, value in enumerate(values)} for name, values in table.choices.items()}
    rows = [[levels[name][value] for name, value in zip(table.choices, row, strict=True)] for row in table.rows]
    longest = max(len(seeds) for row in table.trainings for seeds in row)
    trainings = np.full((len(table), len(table.objectives), longest), np.nan)
    counts = np.zeros(trainings.shape[:2], dtype=np.uint8)
    for i, row in enumerate(table.trainings):
        for j, seeds in enumerate(row):
            trainings[i, j, : len(seeds)], counts[i, j] = seeds, len(seeds)
    head = {
        "origin": origin,
        "file": str(table.file),
        "objectives": [_objective_to_dict(objective) for objective in table.objectives],
        "choices": {name: list(values) for name, values in table.choices.items()},
        "features": list(table.features),
        "bounds": [table.bounds.worst, table.bounds.best],
        "hypervolume": table.hypervolume,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.stem}.{os.getpid()}.npz")
    features = np.array([*table.features.values()]).reshape(len(table.features), len(table))
    rows_array = np.array(rows, dtype=np.uint8)
    np.savez(part, head=json.dumps(head), rows=rows_array, trainings=trainings, counts=counts, features=features)
    part.replace(file)


def load_stored(file: Path, origin: str) -> BenchmarkTable | None:
    """The table in `file`; None if there is none that was made from `origin`."""
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as arrays:
        head = json.loads(str(arrays["head"]))
        if head["origin"] != origin:
            return None
        rows, trainings, counts, features = (arrays[name] for name in ("rows", "trainings", "counts", "features"))
    choices = {name: tuple(values) for name, values in head["choices"].items()}
    columns = [np.array(values, dtype=object)[rows[:, i]].tolist() for i, values in enumerate(choices.values())]
    worst, best = head["bounds"]
    return BenchmarkTable(
        Path(head["file"]),
        tuple(_objective_of(plain) for plain in head["objectives"]),
        choices,
        {row: i for i, row in enumerate(zip(*columns, strict=True))},
        _tuples(trainings, counts),
        dict(zip(head["features"], features, strict=True)),
        (),
        Bounds(tuple(worst), tuple(best)),
    )


def _tuples(trainings: Any, counts: Any) -> list[tuple[tuple[float, ...], ...]]:
    pairs = zip(trainings.tolist(), counts.tolist(), strict=True)
    return [tuple(tuple(seeds[:n]) for seeds, n in zip(row, ns, strict=True)) for row, ns in pairs]


def _objective_to_dict(objective: Objective) -> dict[str, Any]:
    return {name: getattr(objective, name) for name in ("name", "label", "unit", "direction", "log", "source")}


def _objective_of(plain: dict[str, Any]) -> Objective:
    return Objective(**plain)
