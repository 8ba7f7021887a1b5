"""Parts of which generated problems are made: costs, how good a network is, and the unit in which that is measured.

Quality is a latent number without a unit: about 0 on average with a standard deviation of 1, higher is better. A `Measure`
turns it into accuracy, loss and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.objectives import Objective
from search_suite.problem import objective
from search_suite.space import Floats, Rng, Space

Term = Callable[[Floats], Floats]
"""Rows `(n, d)` -> a number for each, `(n,)`."""

_SCALE_SAMPLE = 4000


def standardise(term: Term, space: Space, seed: int = 0) -> Term:
    """`term` shifted and scaled so that random points have mean 0 and standard deviation 1."""
    values = term(space.sample(np.random.default_rng([seed, 77]), _SCALE_SAMPLE))
    mean, spread = float(values.mean()), float(values.std()) or 1.0
    return lambda rows: (term(rows) - mean) / spread


def weighted(*parts: tuple[float, Term]) -> Term:
    """The sum of terms with weights."""
    return lambda rows: sum((weight * term(rows) for weight, term in parts), np.zeros(len(rows)))


def table_sum(tables: Sequence[Floats]) -> Term:
    """The sum of the values that `tables` have for the level of each parameter; 0 for one that a point does not have."""
    padded = [np.append(table, 0.0) for table in tables]

    def term(rows: Floats) -> Floats:
        levels = rows.astype(np.intp)
        return sum((table[levels[:, i]] for i, table in enumerate(padded)), np.zeros(len(rows)))

    return term


def main_effects(space: Space, rng: Rng) -> Term:
    """An effect of each parameter alone: saturating or with an optimum within for ordered ones, random for others."""
    tables = []
    for parameter, count in zip(space.parameters, space.counts, strict=True):
        weight = rng.gamma(1.5, 0.7)
        if parameter.ordered:
            position = np.linspace(0, 1, count)
            peaked = rng.random() < 0.4
            shape = (
                -4 * (position - rng.uniform(0.2, 0.9)) ** 2 if peaked else 1 - np.exp(-rng.uniform(0.5, 4) * position)
            )
            tables.append(weight * shape)
        else:
            tables.append(weight * rng.normal(0, 0.6, count))
    return table_sum(tables)


def pair_effects(space: Space, rng: Rng, pairs: Sequence[tuple[int, int]]) -> Term:
    """An effect of each of `pairs` of parameters: smooth along ordered ones, random for others."""
    tables = []
    for i, j in pairs:
        sides = []
        for index in (i, j):
            count = space.counts[index]
            if space.parameters[index].ordered:
                position = np.linspace(0, 1, count)[:, None]
                sides.append(np.sin(rng.uniform(1, 4, 3) * position + rng.uniform(0, 6.3, 3)))
            else:
                sides.append(rng.normal(0, 0.8, (count, 3)))
        tables.append(np.pad(rng.gamma(1.5, 0.7) * sides[0] @ sides[1].T, (0, 1)))

    def term(rows: Floats) -> Floats:
        levels = rows.astype(np.intp)
        return sum(
            (t[levels[:, i], levels[:, j]] for t, (i, j) in zip(tables, pairs, strict=True)), np.zeros(len(rows))
        )

    return term


def random_pairs(space: Space, rng: Rng, count: int) -> list[tuple[int, int]]:
    """Different pairs of parameters."""
    d = len(space.parameters)
    pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
    return [pairs[k] for k in rng.permutation(len(pairs))[:count]]


def block_effects(space: Space, rng: Rng, size: int) -> Term:
    """An effect of all combinations of each `size` parameters in a row, so that nothing explains a block but the whole of it."""
    tables: list[Floats] = []
    strides = []
    for start in range(0, len(space.parameters), size):
        counts = space.counts[start : start + size]
        tables.append(rng.normal(0, 1, int(counts.prod())))
        strides.append((start, np.append(np.cumprod(counts[::-1])[-2::-1], 1)))

    def term(rows: Floats) -> Floats:
        levels = rows.astype(np.intp)
        total = np.zeros(len(rows))
        for table, (start, stride) in zip(tables, strides, strict=True):
            total += table[levels[:, start : start + len(stride)] @ stride]
        return total

    return term


def additive_cost(space: Space, rng: Rng, base: float, share: float = 1.0) -> Term:
    """A cost above `base` that rises with ordered parameters and is random in others; only a `share` of parameters count."""
    tables: list[Floats] = []
    for parameter, count in zip(space.parameters, space.counts, strict=True):
        counts_in = rng.random() < share or not tables
        sizes = np.cumsum(rng.gamma(2.0, 1.0, count)) if parameter.ordered else rng.gamma(0.8, 2.0, count)
        tables.append(base * rng.gamma(1.5, 0.5) * sizes * counts_in)
    total = table_sum(tables)
    return lambda rows: np.round(base * 0.2 + total(rows))


def product_cost(space: Space, rng: Rng, base: float, spread: float) -> Term:
    """A cost that is a product of factors of all parameters; `spread` is the logarithm of their whole range."""
    tables = []
    for parameter, count in zip(space.parameters, space.counts, strict=True):
        factors = np.linspace(0, 1, count) ** rng.uniform(0.6, 1.5) if parameter.ordered else rng.random(count)
        tables.append(rng.gamma(1.5, 1.0) * factors)
    whole = sum(float(np.ptp(table)) for table in tables)
    total = table_sum([table * spread / whole for table in tables])
    return lambda rows: np.round(base * np.exp(total(rows)))


@dataclass(frozen=True)
class Measure:
    """A unit in which quality is measured.

    Args:
        objective: name and direction.
        of_quality: quality -> value.
        relative_noise: True if the noise of a training is a factor, False if it is a difference.
        scale: the noise of a training whose noise level is 1.
    """

    objective: Objective
    of_quality: Callable[[Floats], Floats]
    relative_noise: bool = False
    scale: float = 1.0

    def noisy(self, value: float, level: float, rng: Rng) -> float:
        """The value of one training; `level` 1 is the noise of seeds where architectures differ by 20."""
        error = level * self.scale * rng.normal()
        return float(value * np.exp(error) if self.relative_noise else value + error)


MEASURES = {
    "accuracy": Measure(  # in per cent, never below chance
        objective("accuracy", "maximize"), lambda q: np.clip(96 - 20 * np.exp(-0.5 * q), 10, None), scale=0.3
    ),
    "share": Measure(objective("share", "maximize"), lambda q: 0.78 - 0.08 * np.exp(-0.4 * q), scale=0.002),
    "error": Measure(objective("error", "minimize"), lambda q: 0.03 + 0.1 * np.exp(-0.45 * q), scale=0.003),
    "loss": Measure(
        objective("loss", "minimize"), lambda q: 0.1 + 0.4 * np.exp(-0.6 * q), relative_noise=True, scale=0.02
    ),
    "log_loss": Measure(
        objective("loss", "minimize", log=True), lambda q: 1e-4 * np.exp(-1.2 * q), relative_noise=True, scale=0.05
    ),
    "perplexity": Measure(  # a part of the networks diverges
        objective("perplexity", "minimize"),
        lambda q: np.minimum(18 + 14 * np.exp(-0.35 * q) + np.expm1(6 * np.maximum(0, -0.6 - q)), 1e5),
        relative_noise=True,
        scale=0.01,
    ),
    "rmse": Measure(objective("rmse", "minimize"), lambda q: 3.1e4 + 8e3 * np.exp(-0.5 * q), scale=200.0),
    "nll": Measure(objective("nll", "minimize"), lambda q: -3.6 + 0.7 * np.exp(-0.5 * q), scale=0.02),
}
"""Name -> measure."""
