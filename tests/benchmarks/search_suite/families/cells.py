"""Cells: an operator on each edge of a graph. Edges behind `none` do nothing, so that many cells are the same network."""

from __future__ import annotations

import itertools

import numpy as np

from search_suite.catalogue import family
from search_suite.families.products import create
from search_suite.problem import SpaceProblem, objective
from search_suite.responses import Term, standardise, weighted
from search_suite.space import Floats, Rng, Space, categorical

FLOPS = objective("flops", "minimize", log=True, cheap=True)


def _paths(nodes: int) -> list[tuple[int, ...]]:
    """The paths from the first to the last node as numbers of edges; the edge (i, j), i < j, is sorted by j."""
    edges = {edge: n for n, edge in enumerate((i, j) for j in range(1, nodes) for i in range(j))}
    paths = []
    for length in range(nodes - 1):
        for between in itertools.combinations(range(1, nodes - 1), length):
            stops = (0, *between, nodes - 1)
            paths.append(tuple(edges[pair] for pair in itertools.pairwise(stops)))
    return paths


def _quality(space: Space, paths: list[tuple[int, ...]], rng: Rng, strength: Floats) -> Term:
    """Better operators on more and longer paths help with diminishing returns; a cell without a path is at chance."""

    def raw(rows: Floats) -> Floats:
        levels = rows.astype(np.intp)
        capacity, short, alive = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for path in paths:
            operators = levels[:, list(path)]
            passes = (operators > 0).all(axis=1)
            work = strength[operators].sum(axis=1) - 0.4 * (operators == 4).sum(axis=1)
            capacity += passes * (1 - np.exp(-np.maximum(work, 0)))
            short += passes * (operators == 1).all(axis=1)
            alive |= passes
        return np.where(alive, 2 * np.log1p(capacity) + 0.5 * np.minimum(short, 1), -2.0)

    weights = rng.normal(0, 0.1, len(space.parameters))
    order = standardise(lambda rows: np.tanh(rows @ weights), space)
    return standardise(weighted((1.0, standardise(raw, space)), (0.15, order)), space)


def _cells(name: str, seed: int, nodes: int, operators: tuple[str, ...], unit: str) -> SpaceProblem:
    rng = np.random.default_rng(seed)
    edges = nodes * (nodes - 1) // 2
    space = Space(tuple(categorical(f"edge{i}", *operators) for i in range(edges)))
    work = np.array([0.0, 0.0, rng.uniform(2, 5), rng.uniform(14, 20), 0.3])[: len(operators)]
    strength = np.array([0.0, 0.05, 0.5, 1.0, 0.05])[: len(operators)] * rng.uniform(0.7, 1.3, len(operators))

    def flops(rows: Floats) -> Floats:
        return np.round(7e6 + 1e6 * work[rows.astype(np.intp)].sum(axis=1))

    return create(name, space, _quality(space, _paths(nodes), rng, strength), [flops], unit, [FLOPS])


@family("cells")
def create_cells(name: str, seed: int) -> SpaceProblem:
    """6 edges with 5 operators (15,625 points): accuracy against log FLOPs."""
    return _cells(name, seed, 4, ("none", "skip", "conv1", "conv3", "pool"), "accuracy")


@family("cells10")
def create_cells10(name: str, seed: int) -> SpaceProblem:
    """10 edges with 4 operators (1,048,576 points): error against log FLOPs."""
    return _cells(name, seed, 5, ("none", "skip", "conv1", "conv3"), "error")
