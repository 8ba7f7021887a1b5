"""The plan of a benchmark of throughput measurements: plain values. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import UsageError
from search_space import Architecture, SearchSpace
from trainers.measuring.effort import default_batch_size


@dataclass(frozen=True)
class ThroughputPlan:
    """The plan of a benchmark.

    Args:
        sample: number of architectures.
        rounds: number of measurements of each architecture.
        beside: number of trainings that run at the same time.
        threads: CPU threads of each training and of the measurements.
        batch_size: images of a pass; None: the default of a study on that device.
        device: "cpu" or "cuda".
        seed: the seed of the sample and of the order.
        operators_s: the most seconds spent on timing operators; 0: no prediction.
    """

    sample: int = 40
    rounds: int = 2
    beside: int = 2
    threads: int = 1
    batch_size: int | None = None
    device: str = "cpu"
    seed: int = 0
    operators_s: float = 30.0

    @property
    def images(self) -> int:
        """The number of images of a pass."""
        return self.batch_size or default_batch_size(self.device)


def sample_architectures(space: SearchSpace, count: int, seed: int) -> tuple[Architecture, ...]:
    """Draw `count` distinct random architectures of `space`.

    Raises:
        UsageError: the space has fewer architectures.
    """
    if space.size < count:
        raise UsageError(f"--sample {count}: the space has {space.size} architectures")
    rng = np.random.default_rng(seed)
    architectures: dict[str, Architecture] = {}
    while len(architectures) < count:
        architecture = space.sample(rng)
        architectures[architecture.id] = architecture
    return tuple(architectures.values())
