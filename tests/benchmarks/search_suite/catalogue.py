"""All problems by name. A family is one file of `search_suite.families`, which registers a function for each of its problems.

    @family("cells", instances=3)
    def create_cells(seed: int) -> GeneratedProblem: ...

The problem `cells` is the instance 0, `cells-1` the next.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nas.analysis.front import Bounds
from nas.objectives import Objective
from search_suite.problem import Goal, Problem

FORMAT = 2  # of the kept goals; counts up when a family or the search for fronts changes


class GeneratedProblem(Problem, Protocol):
    """A problem whose best front has to be searched."""

    objectives: tuple[Objective, ...]
    limits: tuple[float | None, ...]

    def find_goal(self) -> Goal:
        """Search the best front; slow for a large space."""

    def fingerprint(self) -> str:
        """A number that changes with the space and the values."""


@dataclass(frozen=True)
class Family:
    """Generated problems that differ in their seed.

    Args:
        name: their common name.
        create: seed -> problem.
        summary: what it is about, in a line.
    """

    name: str
    create: Callable[[str, int], GeneratedProblem]
    summary: str


FAMILIES: dict[str, Family] = {}


def family(name: str) -> Callable[[Callable[[str, int], GeneratedProblem]], Callable[..., GeneratedProblem]]:
    """Register the decorated function (name of the problem, seed) as a family; its docstring is the summary.

    Raises:
        ValueError: the name is already registered.
    """

    def add(create: Callable[[str, int], GeneratedProblem]) -> Callable[[str, int], GeneratedProblem]:
        if name in FAMILIES:
            raise ValueError(f"family {name!r} is already registered")
        FAMILIES[name] = Family(name, create, (create.__doc__ or "").partition("\n")[0])
        return create

    return add


def instance_name(name: str, instance: int) -> str:
    """`cells`, `cells-1`, `cells-2`."""
    return f"{name}-{instance}" if instance else name


def create_problem(name: str, instance: int, cache: Path | None = None) -> GeneratedProblem:
    """The problem with its goal; a goal that was found before is read from the folder `cache`."""
    full_name = instance_name(name, instance)
    seed = zlib.crc32(name.encode()) % 10_000 + instance
    problem = FAMILIES[name].create(full_name, seed)
    file = None if cache is None else cache / f"{full_name}.json"
    fingerprint = f"{FORMAT} {problem.fingerprint()}"
    if file is not None and file.is_file():
        kept = json.loads(file.read_text())
        if kept["fingerprint"] == fingerprint:
            bounds = Bounds(tuple(kept["worst"]), tuple(kept["best_values"]))
            problem.goal = Goal(problem.objectives, problem.limits, bounds, kept["best"], kept["exact"])
            return problem
    problem.goal = problem.find_goal()
    if file is not None:
        goal = problem.goal
        plain = {"fingerprint": fingerprint, "worst": goal.bounds.worst, "best_values": goal.bounds.best}
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({**plain, "best": goal.best, "exact": goal.exact}))
        part.replace(file)
    return problem
