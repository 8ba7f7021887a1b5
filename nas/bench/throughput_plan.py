"""The plan of a benchmark of throughput measurements: plain values. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import UsageError
from nas.study.config import MAX_BATCH_SIZE, MAX_MEASURING_S, MAX_SEED
from search_space import Architecture, SearchSpace
from trainers.measuring.effort import default_batch_size

MAX_SAMPLE = 10_000
MAX_ROUNDS = 1_000
MAX_BESIDE = 1_000
MAX_THREADS = 1_000


@dataclass(frozen=True)
class ThroughputPlan:
    """The plan of a benchmark.

    Args:
        sample: number of architectures; at least 3.
        rounds: number of measurements of each architecture; at least 2.
        beside: number of trainings that run at the same time.
        threads: CPU threads of each training and of the measurements.
        batch_size: images of a pass; None: the default of a study on that device.
        device: "cpu" or "cuda".
        seed: the seed of the sample and of the order.
        operators_s: the most seconds spent on timing operators; 0: no prediction.

    Raises:
        UsageError: a number is out of its range.
    """

    sample: int = 40
    rounds: int = 2
    beside: int = 2
    threads: int = 1
    batch_size: int | None = None
    device: str = "cpu"
    seed: int = 0
    operators_s: float = 30.0

    def __post_init__(self) -> None:
        ranges = {
            "sample": (3, MAX_SAMPLE),
            "rounds": (2, MAX_ROUNDS),
            "beside": (0, MAX_BESIDE),
            "threads": (1, MAX_THREADS),
            "batch_size": (1, MAX_BATCH_SIZE),
            "seed": (0, MAX_SEED),
            "operators_s": (0, MAX_MEASURING_S),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option}: must be from {low} to {high:,}, found {value}")

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
