"""What all trials of a study share: sent from the driver to its workers. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainers.config import TrainConfig


@dataclass(frozen=True)
class Setting:
    """What all trials of a study share; loaded once in each worker.

    Args:
        data_file: the decoded images (`trainers.prepared.prepare`).
        train: the proxy training.
        device: "cpu" or "cuda".
        batch_size, min_time_s: of the throughput measurement.
        min_images_per_s: the limit under which a trial is refused before it is trained; None: no limit.
    """

    data_file: Path
    train: TrainConfig
    device: str = "cpu"
    batch_size: int = 64
    min_time_s: float = 0.2
    min_images_per_s: float | None = None
