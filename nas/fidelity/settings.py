"""The settings that all jobs of a fidelity run share. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainers.training.config import TrainConfig


@dataclass(frozen=True)
class FidelitySettings:
    """The settings that all jobs of a fidelity run share.

    Args:
        data_file: the decoded images.
        fingerprint: of the images.
        train: the study's training; a job's budget replaces its epochs.
        threads: CPU threads of each worker.
        gpus: GPUs of each worker, 0 to 1; a fraction if several workers share one.
    """

    data_file: Path
    fingerprint: str
    train: TrainConfig
    threads: int = 1
    gpus: float = 0.0
