"""How well throughput and latency were predicted: the study's operator table against what its trials measured.

The predictions (`nas.study.operator_table`) are recomputed from the table in the study's folder. Without that file, in a
copied `study.db` for example, nothing can be compared and `missing_note` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas import objectives
from nas.analysis.results import Results
from nas.formatting import finite_or_none
from nas.sampler.registry import SAMPLERS
from nas.study.layout import OPERATORS
from nas.study.operator_table import Floats, OperatorTable, predicted_objectives, read_tables
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from search_space import Architecture
from search_space.errors import SpaceError

MAX_COMPARED_TRIALS = 1000
MIN_COMPARED_TRIALS = 3


@dataclass(frozen=True)
class PredictionQuality:
    """How well one objective was predicted.

    Args:
        objective: its name.
        trials: number of trials compared.
        kendall_tau: Kendall's tau-b between predicted and measured values; None if it is undefined.
        median_error: median relative error after the median factor between the two is divided out.
    """

    objective: str
    trials: int
    kendall_tau: float | None
    median_error: float

    def to_dict(self) -> dict[str, Any]:
        """As `nas status --json` prints it, under the objective's name."""
        return {"trials": self.trials, "kendall_tau": self.kendall_tau, "median_error": self.median_error}


class PredictedValues(NamedTuple):
    """Predicted against measured values of an objective, `(n,)` each."""

    trials: NDArray[np.int_]
    predicted: Floats
    measured: Floats


def compare_predictions(results: Results, max_trials: int = MAX_COMPARED_TRIALS) -> list[PredictionQuality]:
    """The prediction quality of each predicted objective, over its latest `max_trials` measured trials.

    An objective with fewer than `MIN_COMPARED_TRIALS` comparable trials is left out.
    """
    from nas.analysis.statistics import kendall  # imports scipy, which takes a while

    qualities = []
    for name, (trials, predicted, measured) in predicted_values(results, max_trials).items():
        if len(trials) < MIN_COMPARED_TRIALS:
            continue
        tau = float(kendall(predicted, measured, np.ones((1, len(trials))))[0])
        error = factor_and_error(predicted, measured)[1]
        qualities.append(PredictionQuality(name, len(trials), finite_or_none(tau), error))
    return qualities


def predicted_values(results: Results, max_trials: int = MAX_COMPARED_TRIALS) -> dict[str, PredictedValues]:
    """The predicted and the measured values of each predicted objective, of its latest `max_trials` measured trials."""
    values = {}
    for name, table in read_tables(results.folder / OPERATORS).items():
        known_trials = results.trials.dropna(subset=[name, "architecture"])
        is_measured = [name not in (predicted or ()) for predicted in known_trials[PREDICTED_VALUES]]
        rows = known_trials[is_measured].tail(max_trials).to_dict("records")
        triples = [(row["trial"], _predict(table, name, row["architecture"]), row[name]) for row in rows]
        known = np.array([triple for triple in triples if triple[1] is not None], np.float64).reshape(-1, 3)
        values[name] = PredictedValues(known[:, 0].astype(np.int64), known[:, 1], known[:, 2])
    return values


def missing_note(results: Results) -> str:
    """Why there is no prediction quality although the study predicted an objective; empty if nothing is missing."""
    file = results.folder / OPERATORS
    config = results.config
    sampler = SAMPLERS.get((config.get("sampler") or {}).get("name", ""))
    uses_predictions = sampler is not None and sampler.uses_features
    uses_predictions &= bool((config.get("throughput") or {}).get("operators_s"))
    is_measured = any(results.summary[name].notna().any() for name in predicted_objectives() if name in results.summary)
    if not (uses_predictions and is_measured) or read_tables(file):
        return ""
    return f"unknown: {file} is missing or damaged"


def factor_and_error(predicted: Floats, measured: Floats) -> tuple[float, float]:
    """The median of `predicted / measured`, `(n,)` both, and the median relative error after dividing it out."""
    ratios = predicted / measured
    factor = float(np.median(ratios))
    return factor, float(np.median(np.abs(ratios / factor - 1)))


def _predict(table: OperatorTable, name: str, architecture: Mapping[str, Any]) -> float | None:
    """The predicted value; None for an architecture that this release does not know."""
    try:
        return table.predict(objectives.get(name), Architecture.from_dict(dict(architecture)))
    except SpaceError:
        return None
