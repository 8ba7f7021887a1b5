"""Which values of the parameters the front prefers.

The preference for a value is its odds on the front against its odds among the other complete trials that have the parameter:

                 on the front   not
    value             a          b       odds ratio = (a + 1/2) (d + 1/2) / ((b + 1/2) (c + 1/2))
    another value     c          d

One half is added to each count (Haldane 1956, Anscombe 1956), so that a value that is never or always on the front has a finite
ratio. The interval is normal in the logarithm: its standard error is the root of the sum of the reciprocals of the four counts
with their halves (Woolf 1955). It takes trials for independent, which those of a search are not: take an interval that barely
excludes 1 for a hint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.analysis.importance import Params, code_table, level_names
from nas.analysis.results import Results

NORMAL_QUANTILE = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Preference:
    """How much more often one value of a parameter is on the front than its share of trials lets expect.

    Args:
        parameter: its name.
        value: the value as text.
        trials: number of complete trials with this value.
        on_front: those of them on the front.
        front_share: share of the trials on the front that have it, among those with the parameter; NaN if there are none.
        overall_share: the same over all complete trials.
        odds_ratio: odds on the front against odds elsewhere; 1 where all trials have this value.
        low, high: its 95 % interval.
    """

    parameter: str
    value: str
    trials: int
    on_front: int
    front_share: float
    overall_share: float
    odds_ratio: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON with the names of the fields; a share that is undefined is None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def preferences(
    results: Results, params: Params, levels: Mapping[str, Sequence[object]] | None = None
) -> list[Preference]:
    """The preference for each value of each parameter that a complete trial has, in the order of `params` and codes.

    Args:
        results: the study.
        params: parameter -> code per trial (-1: missing), for all trials in the order of numbers.
        levels: parameter -> its values in the order of codes; without, a value is called by its code.

    Raises:
        ValueError: a parameter does not have a code for each trial.
    """
    table = code_table(params, len(results.summary))
    counted = ~np.isnan(results.values).any(axis=1)
    on_front = results.summary["on_front"].to_numpy()
    found = []
    for name in table.columns:
        codes = table[name].to_numpy()
        present = counted & (codes >= 0)
        for code in np.unique(codes[present]):
            has = present & (codes == code)
            counts = [int(np.sum(mask & front)) for mask in (has, present & ~has) for front in (on_front, ~on_front)]
            found.append(_preference(name, level_names(levels or {}, name, [code])[0], *counts))
    return found


def _preference(name: str, value: str, a: int, b: int, c: int, d: int) -> Preference:
    """The preference from the four counts of the module's table."""
    ratio, low, high = odds_ratio(a, b, c, d)
    front, total = a + c, a + b + c + d
    share = a / front if front else math.nan
    return Preference(name, value, a + b, a, share, (a + b) / total, ratio, low, high)


def odds_ratio(a: int, b: int, c: int, d: int) -> tuple[float, float, float]:
    """The odds ratio of a table of counts `a, b; c, d` with 1/2 added to each, and its 95 % interval.

    Where one row or column is empty there is nothing to compare: 1, from 0 to infinity shortened to what the halves give.
    """
    if not (a + b) or not (c + d) or not (a + c) or not (b + d):
        center = 0.0
    else:
        center = math.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    error = math.sqrt(sum(1 / (count + 0.5) for count in (a, b, c, d)))
    reach = NORMAL_QUANTILE * error
    return math.exp(center), math.exp(center - reach), math.exp(center + reach)
