"""A fidelity run from the study's configuration to the findings; the same call goes on where an earlier one stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.analysis.statistics import MIN_VALUES
from nas.driver.run import images_of, locked, space_on
from nas.errors import UsageError
from nas.execution import local_processes as pool
from nas.execution.interrupts import Interrupts
from nas.execution.resources import cpus_of, machine_of, places_of
from nas.fidelity.findings import findings_of
from nas.fidelity.plan import Job, Plan, budgets_of, plan_of, relative_work, sample_over_costs
from nas.fidelity.store import Store
from nas.fidelity.values import Findings
from nas.study import config as configs, storage
from nas.study.study_file import StudyFile
from nas.study.trials import costs_of
from nas.terminal.progress import Display
from search_space import Architecture, cost

Advance = Callable[[float], None]
"""Told of a training that has ended, how much of the work it was."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        sample: architectures.
        multiple: epochs of the large budget for each of the proxy's.
        seeds: trainings of each architecture at each budget.

    Raises:
        UsageError: there is nothing to be learned of so few, or of a large budget that is no larger.
    """

    sample: int
    multiple: float
    seeds: int

    def __post_init__(self) -> None:
        if self.sample < MIN_VALUES:
            raise UsageError(
                f"--sample {self.sample}: must be {MIN_VALUES} architectures at least, fewer cannot be ranked"
            )
        if self.seeds < 1:
            raise UsageError(f"--seeds {self.seeds}: must be 1 at least")
        if not 1 < self.multiple < float("inf"):
            raise UsageError(
                f"--multiple {self.multiple:g}: must be above 1: what the proxy is compared with is longer"
            )


@dataclass(frozen=True)
class Study:
    """The study that is asked about.

    Args:
        config, file: its configuration, and where each value stands.
        out: where the trainings go.
        cache: where its decoded images are, or go.
    """

    config: configs.StudyConfig
    file: StudyFile
    out: Path
    cache: Path


def study_of(path: Path, overrides: list[str], out: Path | None) -> Study:
    """The study that `path` is: its YAML file, or the folder that it lives in.

    Raises:
        UsageError, ConfigError: there is none, or its configuration breaks a rule.
    """
    if not path.is_dir():
        config, file = configs.load(path, overrides)
        out = out or Path("runs") / config.name / "fidelity"
        return Study(config, file, out, out / "data")
    began = storage.open_study(path).user_attrs.get("config", {})
    config, file = configs.load(path / storage.CONFIG)
    configs.check_unchanged(config, began, file)  # the file in the folder may have been edited since
    config, file = configs.load(path / storage.CONFIG, overrides)
    return Study(config, file, out or path / "fidelity", path / "data")


def run(study: Study, request: Request, display: Display, bar: Callable[[int, int, float], Any]) -> Findings:
    """Train what is not trained yet, and say what it comes to. Call from the main thread.

    Args:
        study: what is asked about.
        request: how thoroughly.
        display: shows the reading of images.
        bar: makes the display of the trainings, a context that gives an `Advance`, from how many there are, how many of
            them are done, and how much work is left.

    Raises:
        ConfigError, UsageError: the configuration, its data or its space break a rule, or there is too little to compare.
        StudyError: too few architectures could be trained.
    """
    config, file = study.config, study.file
    budgets = budgets_of(config.train, request.multiple)
    devices = devices_of(config.resources)
    interrupts = Interrupts()
    with interrupts.listening(), locked(study.out):
        with display.stage("starting") as progress:
            data_file, dataset = images_of(config, file, study.cache, progress)
        if (warning := dataset.warning()) is not None:
            display.warn(warning)
        with display.stage("choosing architectures"):
            space = space_on(config, file, dataset)
            sample = sample_over_costs(space, config.limits, request.sample, config.seed)
        plan = plan_of(sample, budgets, request.seeds, config.seed)
        threads = config.resources.cpus_per_trial
        setting = {
            "train": config.train.model_dump(mode="json", exclude={"epochs"}),
            "images": dataset.fingerprint,
            "device": devices[0].partition(":")[0],  # seconds of another kind do not compare
            "threads": threads,
        }
        store = Store(study.out)
        crew = pool.Crew(data_file.resolve(), config.train, devices, threads)
        _train(plan, setting, store, crew, study.out.resolve(), bar, interrupts)
        records = {_place(job): store.results[job.key(setting)] for job in plan.jobs}
    return findings_of(
        plan,
        records,
        request.seeds,
        study=config.name,
        dataset=dataset.name,
        describe_s=_describe_s(sample),
        seed=config.seed,
    )


def _train(
    plan: Plan,
    setting: Mapping[str, Any],
    store: Store,
    crew: pool.Crew,
    folder: Path,
    bar: Callable[[int, int, float], Any],
    interrupts: Interrupts,
) -> None:
    """Do the jobs that the store holds no result of."""
    left = [job for job in plan.jobs if job.key(setting) not in store.results]
    if not left:
        return
    macs = {architecture.id: costs_of(architecture).macs for architecture in plan.architectures}
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    tasks = [(job, checkpoints / f"{job.key(setting)}.pt") for job in left]
    amount = sum(relative_work(job, macs[job.id]) for job in left)
    with bar(len(plan.jobs), len(plan.jobs) - len(left), amount) as advance, closing(pool.run(crew, tasks)) as ended:
        for job, record in ended:
            store.add(job.key(setting), record)
            advance(relative_work(job, macs[job.id]))
            interrupts.check()
    shutil.rmtree(checkpoints, ignore_errors=True)


def _place(job: Job) -> tuple[str, str, int]:
    return ("scores" if job.budget is None else job.budget.name, job.id, job.number)


def devices_of(resources: configs.Resources) -> tuple[str, ...]:
    """The device of each process that `resources` ask for, on this machine.

    Raises:
        UsageError: the machine does not have it, or another one is asked for.
    """
    if resources.address is not None:
        raise UsageError(
            f"resources.address: trains on this machine alone (resources.address=null), found {resources.address}"
        )
    gpus = 0 if resources.gpus_per_trial == 0 else _gpus()
    machine = machine_of(resources, {"CPU": cpus_of(resources), "GPU": gpus})
    if machine.gpus == 0:
        return ("cpu",) * machine.workers
    return tuple(f"cuda:{index}" for _ in range(places_of(machine.gpus)) for index in range(gpus))[: machine.workers]


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _describe_s(sample: tuple[Architecture, ...]) -> float:
    """Seconds that the costs of one architecture take, on average."""
    start = time.perf_counter()
    for architecture in sample:
        cost(architecture)
    return (time.perf_counter() - start) / len(sample)
