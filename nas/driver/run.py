"""A search from its configuration to a full study: data, space, storage, sampler, then the trials.

The same call goes on where an earlier one stopped. Imports ray only when it runs; torch is the workers' affair.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import optuna
import yaml
from optuna.trial import TrialState

from nas import objectives, sampler as samplers
from nas.driver import warm_start
from nas.driver.ask_tell import Searcher
from nas.driver.dispatch import Dispatch
from nas.driver.plan import cheapest, check_limits, halving_of, sampler_of
from nas.errors import ConfigError, NothingFeasibleError, StudyError, UsageError
from nas.evaluation.settings import BATCH, MEASURED, Measuring, Setting
from nas.execution.interrupts import Interrupts
from nas.execution.resources import Machine
from nas.study import config as configs, operator_table
from nas.study.layout import trial_folder
from nas.study.operator_table import OperatorTable
from nas.study.storage import CONFIG, create_study, exists, open_study
from nas.study.study_file import StudyFile
from nas.study.trials import is_trained
from nas.terminal.progress import Display, Step
from search_space import SearchSpace
from trainers.data.prepared import Description, describe, prepare
from trainers.errors import DataError


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    Args:
        folder: where the study lives.
        already_complete: True if there was nothing left to do.
    """

    folder: Path
    already_complete: bool


def search(config: configs.StudyConfig, file: StudyFile, folder: Path, display: Display) -> Outcome:
    """Run the study of `config` in `folder`, or go on with it. Call from the main thread.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study began as another.
        UsageError: another search runs on the folder.
        NothingFeasibleError: no trial satisfies the limits.
    """
    interrupts = Interrupts()
    with interrupts.listening(), locked(folder):
        if exists(folder):
            study = open_study(folder)
            configs.check_unchanged(config, study.user_attrs.get("config", {}), file)
            if _is_done(study, config):
                if not _has_images(folder):
                    images_of(config, file, folder / "data", None)  # the report and an export look at them
                return Outcome(folder, already_complete=True)
        _search(config, file, folder, display, interrupts)
    return Outcome(folder, already_complete=False)


def _is_done(study: optuna.Study, config: configs.StudyConfig) -> bool:
    trials = study.get_trials(deepcopy=False)
    return not any(t.state == TrialState.RUNNING for t in trials) and sum(map(is_trained, trials)) >= config.trials


def _search(
    config: configs.StudyConfig, file: StudyFile, folder: Path, display: Display, interrupts: Interrupts
) -> None:
    from nas.execution import ray_tune as runner_ray

    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        with display.stage("starting") as progress:
            # Ray starts in the main thread, which it insists on, while another reads the images.
            reading = thread.submit(images_of, config, file, folder / "data", progress)
            machine = stack.enter_context(runner_ray.cluster(config.resources))
            interrupts.arm()  # Ray has put its own handler of SIGTERM there
            data_file, dataset = reading.result()
        if (warning := dataset.warning()) is not None:
            display.warn(warning)
        space = space_on(config, file, dataset)
        setting = setting_of(config, folder, data_file, machine.gpus)
        known = warm_start.prior(config.start, file, space)
        study = _study(config, file, folder, space, dataset)
        tables = _tables(config, folder, space, setting, machine, display, interrupts)
        begun = sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))
        study.sampler = sampler_of(config, space, known, tables, begun)
        chosen = [objectives.get(name) for name in config.objectives]
        searcher = Searcher(study, space, chosen, config.trials, config.limits, config.seed, halving_of(config))
        with display.trials(searcher, machine.workers) as watch:
            home = folder.resolve()
            folder_of = partial(trial_folder, home)
            dispatch = Dispatch(searcher, folder_of, machine.workers, watch, interrupts)
            runner_ray.run(dispatch, setting, home / "ray", machine)
        _check_feasible(study, config)


def _has_images(folder: Path) -> bool:
    """True if `folder` still holds decoded images that can be read."""
    for data_file in (folder / "data").glob("*.safetensors"):
        try:
            describe(data_file)
        except DataError:
            continue
        return True
    return False


def images_of(
    config: configs.StudyConfig, file: StudyFile, cache: Path, progress: Step | None
) -> tuple[Path, Description]:
    """The decoded images of a study, kept in the folder `cache`.

    Raises:
        ConfigError: they are missing, broken, or too few.
    """
    try:
        data_file = prepare(config.data, cache, progress)
        return data_file, describe(data_file)
    except DataError as error:
        raise ConfigError(file.where(("data", *_data_key(error))), f"data: {error}") from None


def space_on(config: configs.StudyConfig, file: StudyFile, dataset: Description) -> SearchSpace:
    """The space of a study on the images of `dataset`.

    Raises:
        ConfigError: a rule is broken, or no architecture keeps the limits.
    """
    known = {name: getattr(dataset, name) for name in ("image_size", "in_chans", "num_classes")}
    space = configs.space_of(config, file, known)
    check_limits(config, file, space)
    return space


def setting_of(config: configs.StudyConfig, folder: Path, data_file: Path, gpus: float) -> Setting:
    """What the trials of the study in `folder` share, with so many GPUs for each."""
    device = "cuda" if gpus > 0 else "cpu"
    effort = config.throughput.model_dump(exclude={"operators_s"})
    named = [name for name in MEASURED if name in config.objectives or name in config.limits]
    return Setting(
        data_file=data_file.resolve(),
        train=config.train,
        device=device,
        gpus=gpus,
        measuring=Measuring(
            names=tuple(named),
            limits={name: config.limits[name] for name in named if name in config.limits},
            reference_file=folder.resolve() / "reference.json",
            **{**effort, "batch_size": effort["batch_size"] or BATCH[device]},
        ),
    )


def _study(
    config: configs.StudyConfig, file: StudyFile, folder: Path, space: SearchSpace, dataset: Description
) -> optuna.Study:
    """The study in `folder`, begun if there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if exists(folder):
        study = open_study(folder)
        check_same_images(study, file, dataset)
        return study
    begin = warm_start.first(config.start, file, space)  # may find an error: before anything is written
    chosen = [objectives.get(name) for name in config.objectives]
    attributes = {
        "objectives": [objective.to_dict() for objective in chosen],
        "config": config.model_dump(mode="json"),
        "space_size": str(space.size),  # may exceed what JSON readers take for a number
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "image_size": list(dataset.image_size),
            "in_chans": dataset.in_chans,
            "num_classes": dataset.num_classes,
            "class_names": list(dataset.class_names),
            "skipped_count": dataset.skipped_count,
            "skipped": list(dataset.skipped),
            **{str(part): count for part, count in dataset.counts.items()},
        },
    }
    (folder / CONFIG).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    study = create_study(folder, config.name, [objective.direction for objective in chosen], attributes)
    # The cheapest network is on the front whatever its accuracy: it comes first.
    for architecture in (cheapest(space, "macs", config.seed), *begin):
        study.enqueue_trial(dict(space.encode(architecture)))
    return study


def _tables(
    config: configs.StudyConfig,
    folder: Path,
    space: SearchSpace,
    setting: Setting,
    machine: Machine,
    display: Display,
    interrupts: Interrupts,
) -> dict[str, OperatorTable]:
    """What foretells each of the `PREDICTED` objectives that the study measures: timed when the study begins, then kept."""
    from nas.execution import ray_tune as runner_ray

    names = [name for name in operator_table.PREDICTED if name in setting.measuring.names]
    if not samplers.find(config.sampler.name).uses_features or not names or not config.throughput.operators_s:
        return {}
    tables = operator_table.read(folder / operator_table.FILE)
    if tables.keys() >= set(names):
        return tables
    wanted = operator_table.wanted(space, config.seed)
    with display.stage("timing operators"):
        for name in names:
            batch_size = 1 if name == "latency_ms" else setting.measuring.batch_size
            limit_s = config.throughput.operators_s / len(names)
            try:
                seconds = runner_ray.operator_seconds(wanted, batch_size, limit_s, setting, machine, interrupts)
            except StudyError as error:
                display.warn(f"{error}; throughput is not foreseen")
                return {}
            tables[name] = OperatorTable(operator_table.entries_of(wanted, seconds), batch_size)
    operator_table.write(tables, folder / operator_table.FILE)
    return tables


def check_same_images(study: optuna.Study, file: StudyFile, dataset: Description) -> None:
    """Raise `ConfigError` if `dataset` is not what the `study` began on: accuracies on other images do not compare."""
    began = study.user_attrs["dataset"]["fingerprint"]
    if dataset.fingerprint != began:
        rule = f"data: the images must stay those that the study began on, {began}, found {dataset.fingerprint}"
        raise ConfigError(file.where(("data", "path")), f"{rule} (another --out begins another study)")


def _check_feasible(study: optuna.Study, config: configs.StudyConfig) -> None:
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    failures = [trial.user_attrs["failure"] for trial in trials if trial.user_attrs.get("failure")]
    if failures:
        raise NothingFeasibleError(f"all {len(failures)} trainings failed; the last: {failures[-1]}")
    refused = [trial.user_attrs["refused"] for trial in trials if trial.user_attrs.get("refused")]
    last = f"; the last: {refused[-1]}" if refused else ""
    raise NothingFeasibleError(f"no architecture satisfies the limits {config.limits}: {len(refused)} refused{last}")


def _data_key(error: DataError) -> tuple[str, ...]:
    return (error.place,) if error.place in ("source", "path", "splits", "image_size", "limit") else ("path",)


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the study in `folder`: one driver at a time. The lock goes with the process, however that ends.

    Raises:
        UsageError: another process holds it, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(f"{folder}: another process works on it (process {holder})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock
