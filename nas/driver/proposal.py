"""The answers to a driver that asks for the next trial."""

from __future__ import annotations

from dataclasses import dataclass, field

from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.worker_tasks import EarlierSegments
from search_space import Architecture


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        number: the number of the trial.
        architecture: the architecture to train.
        seed: the seed of its training.
        until: the epoch at which to pause; None: train to the end.
        earlier: measurements and times of its earlier segments.
        inherited: from which trial it takes weights over; None: from none.
    """

    number: int
    architecture: Architecture
    seed: int
    until: int | None = None
    earlier: EarlierSegments = field(default_factory=EarlierSegments)
    inherited: Inheritance | None = None


@dataclass(frozen=True)
class Wait:
    """There is nothing to run now; this may change when a running trial reaches its rung or ends."""


@dataclass(frozen=True)
class Finished:
    """There is nothing more to run."""
