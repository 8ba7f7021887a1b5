"""What all trials of a study share: sent from the driver to its workers. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainers.measuring.effort import Effort, default_batch_size
from trainers.training.config import TrainConfig

MEASURED = ("images_per_s", "latency_ms", "peak_memory_bytes")  # objectives that take a network, and no training


@dataclass(frozen=True)
class Measuring:
    """What is measured of each network before it is trained, and how.

    Args:
        names: of `MEASURED`.
        limits: name -> the worst value allowed: what breaks one is refused before it is trained.
        batch_size: images a pass (of latency: one).
        precision: of the passes; None: of the parameters.
        min_time_s, max_time_s, interval: the effort (`trainers.measuring.effort.Effort`).
        exclusive: trainings on the device stand still meanwhile.
        reference_file: what a pass of the reference network took when the study began, for each device; None: measure
            it anew in each worker.
    """

    names: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = default_batch_size("cpu")
    precision: str | None = None
    min_time_s: float = Effort.min_time_s
    max_time_s: float = Effort.max_time_s
    interval: float = Effort.interval
    exclusive: bool = True
    reference_file: Path | None = None


@dataclass(frozen=True)
class Setting:
    """What all trials of a study share; loaded once in each worker.

    Args:
        data_file: the decoded images (`trainers.data.prepared.prepare`).
        train: the proxy training.
        device: "cpu" or "cuda".
        gpus: of each worker, a fraction where several share one.
        measuring: what is measured.
    """

    data_file: Path
    train: TrainConfig
    device: str = "cpu"
    gpus: float = 0.0
    measuring: Measuring = Measuring()
