"""The settings that all trials of a study share; the driver sends them to its workers. Needs no torch."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas.study.layout import WORKERS
from trainers.measuring.effort import Effort, default_batch_size
from trainers.training.config import TrainConfig


@dataclass(frozen=True)
class MeasuringSettings:
    """The measurements of each network before it is trained.

    Args:
        objectives: names of objectives of source "measured".
        limits: name -> the worst value allowed: a network that violates one is refused before it is trained.
        batch_size: images of a pass.
        precision: dtype of the passes, by autocast; None: that of the parameters.
        min_time_s, max_time_s, interval: the effort (`trainers.measuring.effort.Effort`).
        exclusive: trainings on the device pause while a measurement runs.
        device: the kind of device to measure on (`nas.study.device_kind.is_of_kind`); None: any.
        reference_file: stores the seconds of a pass of the reference network at the start of the study, for each device;
            None: each worker measures it again.
    """

    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = default_batch_size("cpu")
    precision: str | None = None
    min_time_s: float = Effort.min_time_s
    max_time_s: float = Effort.max_time_s
    interval: float = Effort.interval
    exclusive: bool = True
    device: str | None = None
    reference_file: Path | None = None


@dataclass(frozen=True)
class StudyPlace:
    """Where the files of a study are, by which a worker finds out whether it sees them.

    Args:
        folder: the folder of the study, as its driver sees it.
        nonce: the random name of a file that the driver has written there, in the folder of workers.
        fingerprint: of the decoded images.
        url: where checkpoints, weights and decoded images are instead of in the folder; None: in the folder.
        workers: the name of the folder of workers in `folder`.
    """

    folder: Path
    nonce: str
    fingerprint: str
    url: str | None = None
    workers: str = WORKERS

    @classmethod
    def new(cls, folder: Path, fingerprint: str, url: str | None, workers: str = WORKERS) -> StudyPlace:
        """The place, with a nonce for one run of a driver."""
        return cls(folder, secrets.token_hex(8), fingerprint, url, workers)


@dataclass(frozen=True)
class EvaluationSettings:
    """The settings that all trials of a study share; loaded once in each worker.

    Args:
        data_file: the decoded images (`trainers.data.prepared.prepare`).
        train: the proxy training.
        objectives: names of the study's objectives of source "trained".
        gpus: GPUs of each worker, 0 to 1; a fraction if several workers share one.
        threads: CPU threads of each worker.
        measuring: the measurements before training.
        place: the files of the study; None: all workers see `data_file` and the folders of their trials.
        memory_bytes: memory that a worker on a CPU may hold (`nas.evaluation.memory_limit`); None: most of the machine's.
        max_silence_s: seconds without progress after which a trial is ended; None: never.
        rungs: the epochs at which trainings pause, ascending; a training that starts afresh on its way to a later one is
            validated there, too.
    """

    data_file: Path
    train: TrainConfig
    objectives: tuple[str, ...] = ("accuracy",)
    gpus: float = 0.0
    threads: int = 1
    measuring: MeasuringSettings = MeasuringSettings()
    place: StudyPlace | None = None
    memory_bytes: int | None = None
    max_silence_s: float | None = None
    rungs: tuple[int, ...] = ()
