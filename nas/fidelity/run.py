"""Runs a fidelity analysis from the configuration of a study to the findings; the same call continues an interrupted run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from nas.analysis.statistics import MIN_VALUES
from nas.driver.display import Display
from nas.driver.start.reading import ImageReader
from nas.driver.start.start_checks import check_compiler
from nas.errors import MachineError, StudyError
from nas.execution.base import Executor, Loss, Task, check_resources, open_executor
from nas.execution.interrupts import Interrupts
from nas.execution.queue import TaskQueue
from nas.fidelity.factory import FidelityWorkerFactory
from nas.fidelity.findings import compute_findings
from nas.fidelity.inherited import sample_inherited
from nas.fidelity.plan import Job, Plan, create_budgets, create_plan, relative_work, sample_over_costs
from nas.fidelity.request import FidelityRequest, FidelityStudy
from nas.fidelity.settings import FidelitySettings
from nas.fidelity.store import Store
from nas.fidelity.values import Findings
from nas.objectives.costs import costs_of
from nas.study.destinations import check_folder
from nas.study.layout import RAY
from nas.study.limits import check_limits
from nas.study.lock import lock_folder
from search_space import Architecture, cost
from trainers.data.description import DatasetInfo


class CountingDisplay(Display, Protocol):
    """A display that also counts trainings (`nas.terminal.progress`)."""

    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> AbstractContextManager[Any]:
        """Show a count; yields the function to call with the number of finished trainings and their weight."""


def run_fidelity(study: FidelityStudy, request: FidelityRequest, display: CountingDisplay) -> Findings:
    """Run the trainings that are not finished yet, and compare the rankings. Call from the main thread.

    Args:
        study: the study whose proxy is judged.
        request: the extent of the run.
        display: shows the steps and counts the trainings.

    Raises:
        ConfigError, UsageError: the configuration, its data or its space break a rule, or there is too little to compare.
        StudyError: too few architectures could be trained.
        MachineError: the disk or a device of the machine failed; the same call continues the run.
    """
    config = study.config
    budgets = create_budgets(config.train.proxy, request.multiple)
    interrupts = Interrupts()
    executor_name = "local" if config.resources.address is None else config.resources.executor
    with interrupts.handle_signals(), ImageReader(config, study.cache, study.reading_version) as images:
        check_folder(study.out)
        check_compiler(config)
        check_resources(executor_name, config.resources)
        images.locate()
        with lock_folder(study.out):
            inherited = sample_inherited(study.inherited, request.sample, config.seed)
            inherited = inherited if len(inherited) >= MIN_VALUES else ()
            _tell_sample(study, request, len(inherited), display)
            chosen = tuple(training.architecture for training in inherited)
            sample, data_file, dataset = _choose(study, request, chosen, images, display)
            plan = create_plan(sample, budgets, request.seeds, config.seed)
            with open_executor(executor_name, config.resources, study.out.resolve() / RAY) as executor:
                records = _run_plan(plan, study, data_file, dataset, executor, display, interrupts)
    return compute_findings(
        plan,
        records,
        request.seeds,
        study=config.name,
        dataset=dataset.name,
        describe_s=_seconds_per_cost(sample),
        seed=config.seed,
        inherited=inherited,
    )


def _tell_sample(study: FidelityStudy, request: FidelityRequest, count: int, display: CountingDisplay) -> None:
    """Say so if a study whose trials inherit weights has fewer such trainings than the sample."""
    if study.config.train.inherit == "none" or count == request.sample:
        return
    if count:
        display.warn(
            f"train.inherit: the study has {count} trainings with inherited weights; all of them are the sample"
        )
    else:
        rule = f"are judged from the folder of a study that has at least {MIN_VALUES} of them"
        display.warn(f"train.inherit: trainings with inherited weights {rule}")


def _choose(
    study: FidelityStudy,
    request: FidelityRequest,
    chosen: tuple[Architecture, ...],
    images: ImageReader,
    display: CountingDisplay,
) -> tuple[tuple[Architecture, ...], Path, DatasetInfo]:
    """The architectures to train, those that are `chosen` if any are, the file of the images and its description.

    Raises:
        ConfigError, UsageError: the images, the space, the limits and the sample do not go together.
    """
    config = study.config
    with display.step("starting") as progress:
        images.decode(progress)
        data_file, dataset = images.result()
    if (warning := dataset.warning()) is not None:
        display.warn(warning)
    try:
        with display.step("choosing architectures"):
            space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
            check_limits(config, space)
            sample = chosen or sample_over_costs(space, config.limits, request.sample, config.seed)
    except StudyError:
        images.discard()
        raise
    return sample, data_file, dataset


def _run_plan(
    plan: Plan,
    study: FidelityStudy,
    data_file: Path,
    dataset: DatasetInfo,
    executor: Executor,
    display: CountingDisplay,
    interrupts: Interrupts,
) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Run the jobs of `plan` that are not finished; returns the records of all."""
    train, threads = study.config.train.proxy, study.config.resources.cpus_per_trial
    setting = {
        "train": train.model_dump(mode="json", exclude={"epochs"}),
        "images": dataset.fingerprint,
        "device": "cuda" if executor.allocation.gpus > 0 else "cpu",  # seconds on another kind of device do not compare
        "threads": threads,
    }
    store = Store(study.out)
    settings = FidelitySettings(data_file.resolve(), dataset.fingerprint, train, threads, executor.allocation.gpus)
    _train(plan, setting, store, settings, study.out.resolve(), executor, display, interrupts)
    return {_record_key(job): store.results[job.key(setting)] for job in plan.jobs}


def _train(
    plan: Plan,
    setting: Mapping[str, Any],
    store: Store,
    settings: FidelitySettings,
    folder: Path,
    executor: Executor,
    display: CountingDisplay,
    interrupts: Interrupts,
) -> None:
    """Run the jobs whose results are not in the store."""
    jobs = {job.key(setting): job for job in plan.jobs if job.key(setting) not in store.results}
    if not jobs:
        return
    macs = {architecture.id: costs_of(architecture).macs for architecture in plan.architectures}
    weights = {key: relative_work(job, macs[job.id]) for key, job in jobs.items()}
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    tasks = [
        Task(key, {"job": job.to_dict(), "checkpoint": str(checkpoints / f"{key}.pt")}) for key, job in jobs.items()
    ]
    done = len(plan.jobs) - len(jobs)
    with display.counter("training", len(plan.jobs), done, sum(weights.values())) as advance:

        def store_result(task: Task, result: Mapping[str, Any]) -> None:
            job, record = jobs[task.name], dict(result)
            if record.get("cause") == "machine":
                raise MachineError(f"a training of architecture {job.id}: {record['failure']}")
            if "cause" in record:
                store.results[task.name] = record  # not written: the next run repeats what may be the machine's fault
            else:
                store.add(task.name, record)
            advance(1, weights[task.name])

        def store_loss(task: Task, loss: Loss) -> None:
            job = jobs[task.name]
            store_result(task, {"id": job.id, "seed": job.seed, "failure": loss.reason, "cause": "either"})

        queue = TaskQueue(tasks, store_result, interrupts.check, store_loss)
        executor.run(FidelityWorkerFactory(settings), queue, settings.data_file.parent.parent)
    shutil.rmtree(checkpoints, ignore_errors=True)


def _record_key(job: Job) -> tuple[str, str, int]:
    return ("scores" if job.budget is None else job.budget.name, job.id, job.number)


def _seconds_per_cost(sample: tuple[Architecture, ...]) -> float:
    """Mean seconds to compute the costs of one architecture."""
    start = time.perf_counter()
    for architecture in sample:
        cost(architecture)
    return (time.perf_counter() - start) / len(sample)
