"""Which choices of a search space matter, objective by objective.

A random forest learns an objective from the parameters of the complete trials. The importance of a parameter is how much worse
the forest predicts trials that it has not seen once the values of this parameter are shuffled among them: the rise of the mean
squared error (Breiman, Machine Learning 2001), never below 0, as a share of the sum over parameters. The forest learns the rank
of a trial in the objective, so that neither the unit nor a few trainings that diverged decide.

Each of `FORESTS` forests is trained on a bootstrap resample of the trials and judged on those left out (about 37 %), so that the
spread of a share over forests holds the chance of the sample as well as that of the forest. Two parameters that always change
together share their importance. A parameter that a trial does not have (that of a mixer it did not choose) has a level of its
own. A search samples where it expects the front, so an importance says what mattered among the trials of this study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nas.analysis.results import Results
from nas.formatting import finite_or_none
from nas.objectives import Objective

MIN_TRIALS = 30
"""Complete trials; a forest of fewer has some ten unseen ones to be judged on, and shares are chance."""

MIN_EXPLAINED = 0.1
"""Share of the variance that the forest must explain of unseen trials; below, `Importance.note` says that shares are noise."""

FORESTS = 12
TREES_PER_FOREST = 12
MIN_LEAF = 3
MAX_TRIALS = 2000
"""Trials that are used, drawn at random from more: twice as many would take twice the time and move shares by less than
their uncertainty."""

Floats: TypeAlias = NDArray[np.float64]
Params: TypeAlias = pd.DataFrame | Mapping[str, ArrayLike]
"""Parameter -> its code per trial in the order of numbers, from 0; -1 where a trial does not have it."""


@dataclass(frozen=True)
class Importance:
    """What matters for one objective.

    Args:
        objective: its name.
        trials: number of trials used.
        explained: share of the variance of unseen trials that the forest explains; at most 1, NaN if there is no result.
        shares: parameter -> (share of importance, its standard deviation over forests), the most important first; shares add
            up to 1. Empty if there are too few trials or nothing varies.
        note: why there is no result, or why it must not be trusted; empty if it can be.
    """

    objective: str
    trials: int
    explained: float
    shares: Mapping[str, tuple[float, float]]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; shares are [{"parameter", "share", "deviation"}, ...]."""
        rows = [{"parameter": name, "share": share, "deviation": sd} for name, (share, sd) in self.shares.items()]
        explained = finite_or_none(self.explained)
        return {
            "objective": self.objective,
            "trials": self.trials,
            "explained": explained,
            "shares": rows,
            "note": self.note,
        }


def importance(results: Results, params: Params, seed: int = 0) -> list[Importance]:
    """The importance of each parameter for each objective of the study, in its order.

    Args:
        results: the study.
        params: parameter -> code per trial (-1: missing), for all trials in the order of numbers.
        seed: of all random draws; the same seed gives the same shares.

    Raises:
        ValueError: a parameter does not have a code for each trial.
    """
    table = code_table(params, len(results.summary))
    counted = np.flatnonzero(~np.isnan(results.values).any(axis=1))
    return [_importance_for(o, table, results.values[:, i], counted, seed) for i, o in enumerate(results.objectives)]


def code_table(params: Params, trials: int) -> pd.DataFrame:
    """`params` as a table of whole numbers with a row per trial.

    Raises:
        ValueError: a parameter does not have a code for each of the `trials`.
    """
    columns = {str(name): np.asarray(codes).astype(np.int64) for name, codes in params.items()}
    for name, codes in columns.items():
        if codes.shape != (trials,):
            raise ValueError(
                f"params[{name!r}]: must have a code for each of {trials} trials, found the shape {codes.shape}"
            )
    return pd.DataFrame(columns, index=range(trials))


def _importance_for(
    objective: Objective, table: pd.DataFrame, values: Floats, counted: NDArray[np.intp], seed: int
) -> Importance:
    """The importance for one objective, whose `values` are those of all trials."""
    rng = np.random.default_rng(seed)
    if len(counted) < MIN_TRIALS:
        note = f"too few trials: {len(counted)} are complete, and {MIN_TRIALS} are needed"
        return Importance(objective.name, len(counted), math.nan, {}, note)
    chosen = counted if len(counted) <= MAX_TRIALS else np.sort(rng.choice(counted, MAX_TRIALS, replace=False))
    codes = table.iloc[chosen]
    varying = [name for name in codes.columns if codes[name].nunique() > 1]
    y = pd.Series(values[chosen]).rank().to_numpy()
    if not varying or np.ptp(y) == 0:
        missing = "no parameter varies" if not varying else f"all trials have the same {objective.label}"
        return Importance(objective.name, len(chosen), math.nan, {}, missing)
    rises, explained = _permutation_rises(codes[varying].to_numpy(dtype=np.float32), (y - y.mean()) / y.std(), rng)
    total = rises.sum(axis=1, keepdims=True)
    by_forest = np.divide(rises, total, out=np.zeros_like(rises), where=total > 0)
    mean = rises.mean(axis=0) / rises.mean(axis=0).sum() if total.any() else np.zeros(len(varying))
    order = np.argsort(-mean, kind="stable")
    shares = {varying[i]: (float(mean[i]), float(by_forest[:, i].std(ddof=1))) for i in order}
    weak = explained < MIN_EXPLAINED or not total.any()
    note = f"the parameters explain only {100 * max(explained, 0):.0f} % of the variance, so shares are mostly noise"
    return Importance(objective.name, len(chosen), explained, shares, note if weak else "")


def _permutation_rises(x: NDArray[np.float32], y: Floats, rng: np.random.Generator) -> tuple[Floats, float]:
    """The rise of the mean squared error on unseen trials by parameter, and the share of variance that is explained.

    Args:
        x: codes, `(n, p)`.
        y: ranks in an objective, standardised, `(n,)`.
        rng: draws resamples and shuffles.

    Returns:
        `(FORESTS, p)`, at least 0, and the explained share, the mean over forests.
    """
    from sklearn.ensemble import RandomForestRegressor  # takes a second to import

    count, num_params = x.shape
    rises, explained = np.zeros((FORESTS, num_params)), []
    for number in range(FORESTS):
        drawn = rng.integers(count, size=count)
        unseen = np.setdiff1d(np.arange(count), drawn)
        forest = RandomForestRegressor(
            TREES_PER_FOREST,
            min_samples_leaf=MIN_LEAF,
            max_features=0.5,
            random_state=int(rng.integers(2**31)),
        )
        forest.fit(x[drawn], y[drawn])
        # One block per parameter with its values shuffled, predicted in one call.
        blocks = np.repeat(x[None, unseen], num_params + 1, axis=0)
        for j in range(num_params):
            blocks[j + 1, :, j] = rng.permutation(blocks[j + 1, :, j])
        predicted = forest.predict(blocks.reshape(-1, num_params)).reshape(num_params + 1, -1)
        errors = ((predicted - y[unseen]) ** 2).mean(axis=1)
        rises[number] = np.maximum(errors[1:] - errors[0], 0.0)
        explained.append(1 - errors[0] / max(float(y[unseen].var()), 1e-12))
    return rises, float(np.mean(explained))


def level_names(levels: Mapping[str, Sequence[object]], name: str, codes: ArrayLike) -> list[str]:
    """The texts of `codes` of the parameter `name`; a code that `levels` does not know is its number."""
    known = levels.get(name, ())
    return [str(known[code]) if 0 <= code < len(known) else str(code) for code in np.asarray(codes).tolist()]
