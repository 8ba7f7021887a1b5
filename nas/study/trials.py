"""What a trial of a study is: what is proposed, how it ends, what it counts as.

Knows neither Ray nor torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search_space import Architecture, Cost, cost

COSTS = ("macs", "params", "fft_flops", "activation_bytes")  # exact before training


@lru_cache(maxsize=4096)
def costs_of(architecture: Architecture) -> Cost:
    """The costs of `architecture`, which a suggestion asks for several times."""
    return cost(architecture)


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        number: in the study.
        architecture: what to train.
        seed: of its training.
        until: the epoch at which to pause; None: train to the end.
        before: what an earlier leg measured.
    """

    number: int
    architecture: Architecture
    seed: int
    until: int | None = None
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a trial ended: its state (RUNNING: it pauses), and its values in the order of the objectives if it is complete."""

    number: int
    state: TrialState
    values: tuple[float, ...] = ()
    refused: bool = False

    @property
    def pauses(self) -> bool:
        """True if the trial may go on later."""
        return self.state == TrialState.RUNNING


def within(architecture: Architecture, limits: Mapping[str, float]) -> bool:
    """True if the exact costs of `architecture` keep the `limits` that concern them."""
    known = costs_of(architecture)
    return all(getattr(known, name) <= limit for name, limit in limits.items() if name in COSTS)


def seed_of(study_seed: int, architecture_id: str) -> int:
    """The seed of an architecture's training: the same in every study of that seed."""
    return int.from_bytes(hashlib.sha256(f"{study_seed} {architecture_id}".encode()).digest()[:4], "big")


def is_trained(trial: FrozenTrial) -> bool:
    """True if `trial` counts towards the number of trials: complete, failed, or stopped at a rung."""
    return trial.state.is_finished() and not trial.user_attrs.get("refused")


def is_duplicate(trial: FrozenTrial) -> bool:
    """True if `trial` was refused because its architecture had been proposed before."""
    return str(trial.user_attrs.get("refused", "")).startswith("duplicate")
