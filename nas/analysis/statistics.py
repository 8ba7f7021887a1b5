"""Rank correlations with bootstrap intervals, and the noise between repetitions.

A bootstrap resample of N architectures is a row of N multiplicities that add up to N. Every statistic takes such rows as
weights: an architecture drawn twice counts as two that tie in everything. The first row is all ones, the sample itself, so
that a column of results begins with the statistic and goes on with its bootstrap distribution.

    tau-b = sum w_i w_j sgn(x_i - x_j) sgn(y_i - y_j) / sqrt(sum w_i w_j [x_i != x_j] * sum w_i w_j [y_i != y_j])
    rho   = the correlation of midranks

A statistic that is undefined (all values equal, fewer than three values) is NaN. So is a missing value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.formatting import finite_or_none

Floats = NDArray[np.float64]
Correlation = Callable[[Floats, Floats, Floats], Floats]
Pair = tuple[Floats, Floats]
"""Values `(N,)` of a proxy and of its reference; NaN where one is missing."""

CONFIDENCE = 0.95
MIN_VALUES = 3  # of a correlation


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, column: Floats) -> Estimate:
        """The estimate of a statistic followed by its bootstrap distribution, `(R + 1,)`.

        The interval is NaN if more than half of the resamples are.
        """
        finite = column[1:][np.isfinite(column[1:])]
        if 2 * len(finite) < len(column) - 1 or len(finite) == 0:
            return cls(float(column[0]), math.nan, math.nan)
        low, high = np.quantile(finite, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return cls(float(column[0]), float(low), float(high))

    def to_dict(self) -> dict[str, float | None]:
        """As JSON; NaN becomes None."""
        return {
            name: finite_or_none(value)
            for name, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }


def bootstrap_weights(count: int, size: int, seed: int) -> Floats:
    """The sample itself, then `count` bootstrap resamples of it, as multiplicities: `(count + 1, size)`."""
    multiplicities = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=count)
    return np.concatenate([np.ones((1, size)), multiplicities.astype(np.float64)])


def kendall(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of `x` and `y`, `(N,)` both, for each row of `weights` `(R, N)`: `(R,)`."""
    sign_x, sign_y = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    pairs = [
        np.einsum("ri,ij,rj->r", weights, m, weights, optimize=True) for m in (sign_x * sign_y, sign_x**2, sign_y**2)
    ]
    return _ratio(pairs[0], np.sqrt(pairs[1] * pairs[2]))


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's rho of `x` and `y`, `(N,)` both, for each row of `weights` `(R, N)`: `(R,)`."""
    total = weights.sum(axis=1, keepdims=True)
    rank_x, rank_y = (_midranks(values, weights) - (total + 1) / 2 for values in (x, y))  # centred
    products = [(weights * a * b).sum(axis=1) for a, b in ((rank_x, rank_y), (rank_x, rank_x), (rank_y, rank_y))]
    return _ratio(products[0], np.sqrt(products[1] * products[2]))


def _midranks(values: Floats, weights: Floats) -> Floats:
    """The mean rank, from 1, of the copies of each value in each resample: `(R, N)`."""
    below = weights @ (values[:, None] < values[None, :])
    equal = weights @ (values[:, None] == values[None, :])
    return below + (equal + 1) / 2


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def keep_upper_half(values: Floats, weights: Floats) -> Floats:
    """`weights` `(R, N)` of the half of the copies with the highest `values` `(N,)`, rounded up; 0 for the others."""
    order = np.argsort(-values, kind="stable")
    ranked = weights[:, order]
    half = np.ceil(ranked.sum(axis=1, keepdims=True) / 2)
    before = ranked.cumsum(axis=1) - ranked
    kept = np.empty_like(weights)
    kept[:, order] = np.clip(half - before, 0, ranked)
    return kept


def mean_correlation(pairs: Sequence[Pair], weights: Floats, correlation: Correlation, upper: bool = False) -> Floats:
    """The mean of the `correlation` of each of `pairs`, for each row of `weights`: `(R,)`.

    Args:
        pairs: values of a proxy and of its reference, a pair for each seed.
        weights: `(R, N)` resamples.
        correlation: `kendall` or `spearman`.
        upper: whether only the better half by the reference counts.
    """
    columns = []
    for x, y in pairs:
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() < (2 * MIN_VALUES - 1 if upper else MIN_VALUES):
            continue
        counted = keep_upper_half(y[both], weights[:, both]) if upper else weights[:, both]
        columns.append(correlation(x[both], y[both], counted))
    if not columns:
        return np.full(len(weights), np.nan)
    table = np.stack(columns)
    return _ratio(np.nansum(table, axis=0), np.isfinite(table).sum(axis=0).astype(np.float64))


def pooled_deviation(values: Floats) -> Estimate:
    """The standard deviation between repetitions of one architecture, pooled over architectures.

    The interval is the chi-square interval, exact if the noise is normal with one variance for all architectures.

    Args:
        values: `(S, N)`, S repetitions of N architectures; NaN is missing.
    """
    counts = np.isfinite(values).sum(axis=0)
    freedom = int((counts[counts > 0] - 1).sum())
    if freedom < 1:
        return Estimate(math.nan, math.nan, math.nan)
    centre = _ratio(np.nansum(values, axis=0), counts.astype(np.float64))
    squares = float(np.nansum((values - centre) ** 2))
    from scipy.special import gammaincinv  # takes a while to import

    low, high = 2 * gammaincinv(freedom / 2, [(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2])  # quantiles of chi-square
    return Estimate(math.sqrt(squares / freedom), math.sqrt(squares / low), math.sqrt(squares / high))


def column_means(values: Floats) -> Floats:
    """The mean of each column of `values` `(S, N)` without its missing values: `(N,)`."""
    present = np.isfinite(values)
    return _ratio(np.where(present, values, 0).sum(axis=0), present.sum(axis=0).astype(np.float64))


def leave_one_out_pairs(values: Floats) -> list[Pair]:
    """Each row of `values` `(S, N)` with the mean of the other rows; empty if there is one row."""
    return (
        [(row, column_means(np.delete(values, i, axis=0))) for i, row in enumerate(values)] if len(values) > 1 else []
    )


def row_pairs(values: Floats) -> list[Pair]:
    """All pairs of rows of `values` `(S, N)`."""
    return [(values[i], values[j]) for i in range(len(values)) for j in range(i)]


def to_plain_json(value: Any) -> Any:
    """`value` as plain JSON: estimates become mappings, tuples lists, NaN None."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, dict):
        return {key: to_plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_json(item) for item in value]
    return value
