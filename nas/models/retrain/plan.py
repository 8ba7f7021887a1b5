"""The plan of full trainings: a run for each network and seed, and the settings that they share. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UsageError
from nas.evaluation.settings import StudyPlace
from nas.execution.resources import Resources, allocate, requested_cpus
from nas.models.device_option import check_device, check_device_name
from nas.models.retrain.measuring import RunMeasuring
from nas.models.retrain.subjects import Subject
from nas.models.retrain.teachers import Teacher
from nas.study.retrained import RESULT, RetrainedRun, read_run, run_folder
from trainers.training.recipe_config import RecipeConfig

MAX_SEEDS = 1_000
FIXED_WORK_MACS = 1e5
"""The time per image that does not depend on the network, as MACs."""
LOCAL = "local"
"""The executor of processes of this machine."""
UNKNOWN_MACS = 1e8
"""The work of a network whose MACs cannot be counted."""


@dataclass(frozen=True)
class RetrainJob:
    """One run.

    Args:
        subject: the network.
        seed: of its initial weights and its training.
        folder: of its files, as text.
        weights_folder: the folder with the weights of the trial that it starts from, as text; None: it does not start from any.
    """

    subject: Subject
    seed: int
    folder: str
    weights_folder: str | None = None

    @property
    def label(self) -> str:
        """The name of the run, for messages: `trial-12 seed 0`."""
        return f"{self.subject.name} seed {self.seed}"

    @property
    def result_file(self) -> Path:
        """The file of its record."""
        return Path(self.folder) / RESULT

    @property
    def work(self) -> float:
        """The duration of an epoch relative to those of other runs."""
        return (UNKNOWN_MACS if self.subject.macs is None else self.subject.macs) + FIXED_WORK_MACS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        fields = {"seed": self.seed, "folder": self.folder, "weights_folder": self.weights_folder}
        return {"subject": self.subject.to_dict(), **fields}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RetrainJob:
        """The inverse of `to_dict`."""
        return cls(**{**plain, "subject": Subject.from_dict(plain["subject"])})


@dataclass(frozen=True)
class RetrainSettings:
    """What all runs of a command share.

    Args:
        data_file: the decoded images.
        fingerprint: of the images.
        recipe: how to train.
        digest: of the recipe and the teacher.
        teacher: the network whose outputs are distilled; None: there is none.
        threads: CPU threads of each worker.
        device: the device of all workers; None: each has that of its place.
        stop_file: a file whose existence asks the workers to stop.
        max_silence_s: seconds without progress after which a run is ended; None: never.
        gpus: GPUs of each worker, 0 to 1; a fraction if several workers share one.
        place: where the files of the runs are; None: all workers see `data_file` and the folders of their runs.
        measuring: how throughput is measured; None: it is not.
    """

    data_file: Path
    fingerprint: str
    recipe: RecipeConfig
    digest: str
    teacher: Teacher | None
    threads: int
    device: str | None
    stop_file: Path
    max_silence_s: float | None = None
    gpus: float = 0.0
    place: StudyPlace | None = None
    measuring: RunMeasuring | None = None


@dataclass(frozen=True)
class Workers:
    """The processes of a command.

    Args:
        executor: the name of their executor.
        resources: for the executor: number of workers, CPUs and GPUs of each.
        threads: CPU threads of each worker. On this machine they depend on it and on all runs of the command, also the
            finished ones, since a continued training has the same bits only with the same number of threads.
        device: the device of all workers; None: each has that of its place.
    """

    executor: str
    resources: Resources
    threads: int
    device: str | None = None


def plan_workers(resources: Resources, device: str | None, runs: int) -> Workers:
    """The processes for a number of `runs`: on the cluster of the study, or on this machine.

    Args:
        resources: those of the study; `workers` is the greatest number of processes.
        device: "cpu", "cuda", "cuda:1"; None: a GPU if there is one.
        runs: of the command, the finished ones included.

    Raises:
        UsageError: there is no such device, or the machine lacks the resources.
    """
    plan = _plan_local if resources.address is None else _plan_cluster
    return plan(resources, device, max(1, runs))


def _plan_local(resources: Resources, device: str | None, runs: int) -> Workers:
    cpus = len(os.sched_getaffinity(0))
    gpus = check_device(device)
    single = device if device is not None and ":" in device else None
    changes: dict[str, Any] = {"per_trial": {}, "executor": LOCAL}
    if device == "cpu" or single is not None:
        changes["gpus_per_trial"] = 0.0
    elif resources.gpus_per_trial is None or device == "cuda":
        changes["gpus_per_trial"] = (resources.gpus_per_trial or 1.0) if gpus else 0.0
    local = resources.model_copy(update=changes)
    allocation = allocate(local, {"CPU": requested_cpus(local), "GPU": gpus})
    workers = 1 if single is not None else min(allocation.workers, runs)
    has_gpu = single is not None or allocation.gpus > 0
    threads = local.cpus_per_trial if has_gpu else max(local.cpus_per_trial, cpus // workers)
    return Workers(LOCAL, local.model_copy(update={"workers": workers}), threads, single)


def _plan_cluster(resources: Resources, device: str | None, runs: int) -> Workers:
    """As many workers as the cluster has room for, each with what a trial of the search has."""
    if check_device_name(device) is not None:
        raise UsageError(f"--device: must be cpu or cuda on a cluster (resources.address), found {device!r}")
    changes: dict[str, Any] = {"workers": min(resources.workers or runs, runs)}
    if device == "cpu":
        changes["gpus_per_trial"] = 0.0
    elif device == "cuda":
        changes["gpus_per_trial"] = resources.gpus_per_trial or 1.0
    return Workers(resources.executor, resources.model_copy(update=changes), resources.cpus_per_trial)


def recipe_digest(recipe: RecipeConfig, teacher: Teacher | None) -> str:
    """The digest of a recipe and, where there is one, of its teacher."""
    if teacher is None:
        return recipe.digest()
    content = json.dumps([recipe.digest(), teacher.digest])
    return hashlib.sha256(content.encode()).hexdigest()


def create_jobs(
    subjects: Sequence[Subject], seeds: int, root: Path, digest: str, trial_weights: Mapping[str, Path]
) -> tuple[RetrainJob, ...]:
    """The runs, the longest first, so that none starts last while other workers are idle.

    Args:
        subjects: the networks.
        seeds: number of runs of each, with the seeds 0, 1, ...
        root: the folder whose `retrained/` gets the results.
        digest: of the recipe.
        trial_weights: name of a subject -> the folder with the weights of the trial that it starts from.

    Raises:
        UsageError: the number of seeds is out of its range.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise UsageError(f"--seeds: must be from 1 to {MAX_SEEDS:,}, found {seeds}")
    jobs = [
        RetrainJob(
            subject,
            seed,
            str(run_folder(root, subject.name, digest, seed)),
            str(folder) if (folder := trial_weights.get(subject.name)) else None,
        )
        for seed in range(seeds)
        for subject in subjects
    ]
    return tuple(sorted(jobs, key=lambda job: (job.seed, -job.work)))


def finished_run(job: RetrainJob, fingerprint: str) -> RetrainedRun | None:
    """The record of `job` if it has ended; None if it has not, or its record is damaged.

    Raises:
        UsageError: the record is that of other images, or of another architecture of this name.
    """
    if not job.result_file.exists():
        return None
    try:
        run = read_run(job.result_file)
    except ValueError:
        return None
    architecture = job.subject.architecture
    if run.fingerprint != fingerprint:
        raise UsageError(f"{job.folder}: holds a run on other images; --out DIR names another folder")
    if run.architecture_id != (None if architecture is None else architecture.id):
        rule = f"holds a run of the architecture {run.architecture_id}; --out DIR names another folder"
        raise UsageError(f"{job.folder}: {rule}")
    return run
