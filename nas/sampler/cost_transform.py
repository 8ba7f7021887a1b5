"""Increasing functions of costs by which those become about normal. The likelihood chooses among them.

A latency is a product of effects, so its logarithm is modelled; a throughput is a negative cost, and its logarithm is mirrored.
A loss or the negative of an accuracy has a floor that it approaches, as the primary objective has a ceiling
(`nas.sampler.warp`): effects are shares of what it has above that floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.sampler.warp import candidate_warps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LogExcess:
    """`log((cost - floor) / unit)`.

    Args:
        floor: a lower bound of costs, where it is -inf.
        unit: the excess at which it is 0.
    """

    floor: float
    unit: float

    def __call__(self, costs: Floats) -> Floats:
        """The transformed `costs`."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.maximum(costs - self.floor, 0.0) / self.unit))

    def log_slope(self, costs: Floats) -> Floats:
        """The logarithm of the derivative."""
        return -np.log(costs - self.floor)


@dataclass(frozen=True)
class LogBenefit:
    """`-log(-cost)` of negative costs; inf from 0 on."""

    def __call__(self, costs: Floats) -> Floats:
        """The transformed `costs`."""
        with np.errstate(divide="ignore"):
            return -np.log(np.maximum(-costs, 0.0))

    def log_slope(self, costs: Floats) -> Floats:
        """The logarithm of the derivative."""
        return -np.log(-costs)


CostTransform = LogExcess | LogBenefit


def candidate_transforms(costs: Floats) -> list[tuple[CostTransform, float]]:
    """The transforms to choose from for the observed `costs`, `(n,)`, and the relative prior probability of each.

    A floor far below all costs leaves them nearly as they are. All floors together are as probable as the logarithm.
    """
    floors = candidate_warps(-costs)
    candidates: list[tuple[CostTransform, float]] = [
        (LogExcess(-warp.ceiling, warp.unit), 1 / len(floors)) for warp in floors
    ]
    if costs.min() > 0:
        candidates.append((LogExcess(0.0, float(costs.min())), 1.0))
    if costs.max() < 0:
        candidates.append((LogBenefit(), 1.0))
    return candidates
