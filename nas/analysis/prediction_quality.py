"""How well throughput and latency were foretold (`nas.study.operator_table`), told from what trials measured since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.analysis.results import Results
from nas.formatting import finite_or_none
from nas.study import operator_table
from nas.study.operator_table import Floats, OperatorTable
from search_space import Architecture
from search_space.errors import SpaceError

LATEST = 1000  # trials that are compared
LEAST = 3


@dataclass(frozen=True)
class PredictionQuality:
    """A prediction and what came of it.

    Args:
        name: of the objective.
        trials: that are compared.
        kendall_tau: between what was foretold and what was measured; None where it cannot be told.
        median_error: the median of their relative differences, the same factor for all of them apart.
    """

    name: str
    trials: int
    kendall_tau: float | None
    median_error: float


def compare_predictions(results: Results) -> list[PredictionQuality]:
    """What a study foretold, against the trials that measured it; empty where it did not, or before `LEAST` have."""
    from nas.analysis.statistics import kendall  # scipy takes its time

    found = []
    for name, table in operator_table.read(results.folder / operator_table.FILE).items():
        known = results.trials.dropna(subset=[name, "architecture"]).tail(LATEST)
        pairs = [(_seen(table, name, row["architecture"]), row[name]) for row in known.to_dict("records")]
        seen, truth = np.array([pair for pair in pairs if pair[0] is not None], dtype=np.float64).reshape(-1, 2).T
        if len(seen) < LEAST:
            continue
        tau = float(kendall(seen, truth, np.ones((1, len(seen))))[0])
        found.append(PredictionQuality(name, len(seen), finite_or_none(tau), factor_and_error(seen, truth)[1]))
    return found


def factor_and_error(foretold: Floats, measured: Floats) -> tuple[float, float]:
    """The median factor between what was foretold and measured, `(n,)` both, and the median relative error beside it."""
    ratios = foretold / measured
    factor = float(np.median(ratios))
    return factor, float(np.median(np.abs(ratios / factor - 1)))


def _seen(table: OperatorTable, name: str, architecture: Mapping[str, Any]) -> float | None:
    """What was foretold; None of an architecture that this release does not know."""
    try:
        return float(getattr(table, name)(Architecture.from_dict(dict(architecture))))
    except SpaceError:
        return None
