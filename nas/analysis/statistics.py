"""Rank correlations with bootstrap intervals, and the noise between repetitions.

A bootstrap resample of N architectures is a row of N multiplicities that add up to N, and every statistic takes such rows as
weights: an architecture drawn twice is two that tie with each other in everything. The first row is all ones, the sample
itself, so a column of results begins with the statistic and goes on with its bootstrap distribution.

    tau-b = sum w_i w_j sgn(x_i - x_j) sgn(y_i - y_j) / sqrt(sum w_i w_j [x_i != x_j] * sum w_i w_j [y_i != y_j])
    rho   = the correlation of midranks

What cannot be computed (all values alike, fewer than three known) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from nas.formatting import finite_or_none

Floats = NDArray[np.float64]
Correlation = Callable[[Floats, Floats, Floats], Floats]
Pair = tuple[Floats, Floats]
"""Values `(N,)` of a proxy, and of what it stands for; NaN where one is missing."""

LEVEL = 0.95
MIN_VALUES = 3  # values to correlate


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN is what the data do not tell."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, column: Floats) -> Estimate:
        """Of a statistic and its bootstrap distribution, `(R + 1,)`, in which half at least must be known."""
        known = column[1:][np.isfinite(column[1:])]
        if 2 * len(known) < len(column) - 1 or len(known) == 0:
            return cls(float(column[0]), math.nan, math.nan)
        low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(column[0]), float(low), float(high))

    def to_dict(self) -> dict[str, float | None]:
        """As JSON, None for NaN."""
        return {
            name: finite_or_none(value)
            for name, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }


def bootstrap_weights(count: int, size: int, seed: int) -> Floats:
    """`(count + 1, size)`: the sample itself, then so many bootstrap resamples of it, as multiplicities."""
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=count)
    return np.concatenate([np.ones((1, size)), drawn.astype(np.float64)])


def kendall(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of `x` and `y`, `(N,)` both, for each row of `weights` `(R, N)`: `(R,)`."""
    of_x, of_y = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    pairs = [np.einsum("ri,ij,rj->r", weights, m, weights, optimize=True) for m in (of_x * of_y, of_x**2, of_y**2)]
    return _ratio(pairs[0], np.sqrt(pairs[1] * pairs[2]))


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's rho of `x` and `y`, `(N,)` both, for each row of `weights` `(R, N)`: `(R,)`."""
    total = weights.sum(axis=1, keepdims=True)
    of_x, of_y = (_midranks(values, weights) - (total + 1) / 2 for values in (x, y))  # less their mean
    products = [(weights * a * b).sum(axis=1) for a, b in ((of_x, of_y), (of_x, of_x), (of_y, of_y))]
    return _ratio(products[0], np.sqrt(products[1] * products[2]))


def _midranks(values: Floats, weights: Floats) -> Floats:
    """The mean rank, from 1, of the copies of each value in each resample: `(R, N)`."""
    below = weights @ (values[:, None] < values[None, :])
    alike = weights @ (values[:, None] == values[None, :])
    return below + (alike + 1) / 2


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def keep_upper_half(values: Floats, weights: Floats) -> Floats:
    """`weights` `(R, N)` of which only the half of the copies with the highest `values` `(N,)` is left, rounded up."""
    order = np.argsort(-values, kind="stable")
    ranked = weights[:, order]
    wanted = np.ceil(ranked.sum(axis=1, keepdims=True) / 2)
    before = ranked.cumsum(axis=1) - ranked
    kept = np.empty_like(weights)
    kept[:, order] = np.clip(wanted - before, 0, ranked)
    return kept


def mean_correlation(pairs: Sequence[Pair], weights: Floats, correlation: Correlation, upper: bool = False) -> Floats:
    """The mean over `pairs` (a seed each) of their `correlation`, for each row of `weights`: `(R,)`.

    Args:
        pairs: a proxy's values and those it stands for.
        weights: `(R, N)` resamples.
        correlation: `kendall` or `spearman`.
        upper: of the better half alone, by what the proxy stands for.
    """
    columns = []
    for x, y in pairs:
        known = np.isfinite(x) & np.isfinite(y)
        if known.sum() < (2 * MIN_VALUES - 1 if upper else MIN_VALUES):
            continue
        mine = weights[:, known]
        columns.append(correlation(x[known], y[known], keep_upper_half(y[known], mine) if upper else mine))
    if not columns:
        return np.full(len(weights), np.nan)
    table = np.stack(columns)
    return _ratio(np.nansum(table, axis=0), np.isfinite(table).sum(axis=0).astype(np.float64))


def pooled_deviation(values: Floats) -> Estimate:
    """The standard deviation between repetitions, `(S, N)` for N architectures with a mean each, pooled; NaN is missing.

    The interval is that of chi-square: exact where the noise is normal and alike for all.
    """
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    freedom = int((counts[counts > 0] - 1).sum())
    if freedom < 1:
        return Estimate(math.nan, math.nan, math.nan)
    centre = _ratio(np.nansum(values, axis=0), counts.astype(np.float64))
    squares = float(np.nansum((values - centre) ** 2))
    low, high = 2 * gammaincinv(freedom / 2, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])  # quantiles of chi-square
    return Estimate(math.sqrt(squares / freedom), math.sqrt(squares / low), math.sqrt(squares / high))


def column_means(values: Floats) -> Floats:
    """The mean of each column of `values` `(S, N)` over what is known of it: `(N,)`."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def leave_one_out_pairs(values: Floats) -> list[Pair]:
    """Each row of `values` `(S, N)` with the mean of the others; none if there is one row."""
    return (
        [(row, column_means(np.delete(values, i, axis=0))) for i, row in enumerate(values)] if len(values) > 1 else []
    )


def row_pairs(values: Floats) -> list[Pair]:
    """Each two rows of `values` `(S, N)`."""
    return [(values[i], values[j]) for i in range(len(values)) for j in range(i)]


def to_plain_json(value: Any) -> Any:
    """`value` as JSON: estimates and mappings resolved, NaN as None."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, dict):
        return {key: to_plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_json(item) for item in value]
    return value
