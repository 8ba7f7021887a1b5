"""What a benchmark of throughput measurements does: plain values. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import UsageError
from search_space import Architecture, SearchSpace
from trainers.measuring.effort import default_batch_size


@dataclass(frozen=True)
class ThroughputPlan:
    """What to measure.

    Args:
        sample: architectures.
        rounds: measurements of each.
        beside: trainings that run beside them.
        threads: of each training and of the measurements, on a CPU.
        batch_size: images of a pass; by default those of a study on that device.
        device: "cpu" or "cuda".
        seed: of the sample and the order.
        operators_s: seconds for a table of operators; 0: none.
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
        """Of a pass."""
        return self.batch_size or default_batch_size(self.device)


def sample_architectures(space: SearchSpace, count: int, seed: int) -> tuple[Architecture, ...]:
    """`count` different random architectures of `space`.

    Raises:
        UsageError: the space has fewer.
    """
    if space.size < count:
        raise UsageError(f"--sample {count}: the space has {space.size} architectures")
    rng = np.random.default_rng(seed)
    architectures: dict[str, Architecture] = {}
    while len(architectures) < count:
        architecture = space.sample(rng)
        architectures[architecture.id] = architecture
    return tuple(architectures.values())
