"""Connects Ray Tune to a `TaskSource`: a trainable runs tasks, a searcher gets them from the source, a callback ticks."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray._private import ray_constants
from ray.tune.search.searcher import Searcher

from nas import logs
from nas.errors import StudyError, reason
from nas.execution.base import (
    FINISHED,
    Executor,
    Loss,
    Result,
    Task,
    TaskSource,
    Worker,
    WorkerFactory,
    WorkerSite,
)
from nas.execution.executors.ray_tune.temporary_folder import RAY_FOLDER
from nas.execution.resources import Allocation, Resources, allocate, requested_cpus

OBJECT_STORE_BYTES = 100_000_000  # of a private Ray; small, since trials share files, not objects
SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def ray_cluster(resources: Resources, folder: Path | None) -> Iterator[Allocation]:
    """Start or join Ray; yields the allocation that `resources` get. Ray is shut down at the end.

    Args:
        resources: the resources to use.
        folder: the folder for the temporary files of a private Ray; None: the cluster at `resources.address` is joined.
    """
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {
        "log_to_driver": bool(os.environ.get(logs.VARIABLE)),
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    _update_private_state(is_private=folder is not None)
    if folder is None:
        ray.init(resources.address, **quiet)
    else:
        ray.init(
            "local",
            include_dashboard=False,
            num_cpus=requested_cpus(resources),
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder / RAY_FOLDER),
            _plasma_directory=str(object_store_folder(folder)),
            **quiet,
        )
    try:
        yield allocate(resources, ray.cluster_resources())
    finally:
        ray.shutdown()


def _update_private_state(*, is_private: bool) -> None:
    """Adjust what Ray has read from the environment when it was imported, possibly for another search of this process.

    A private Ray listens on 127.0.0.1 alone: nobody else can reach it, and it outlives a change of the network, such as a
    VPN that connects. Ray has no option for that; it does so on systems for which `ENABLE_RAY_CLUSTER` is false.
    """
    ray_constants.ENABLE_RAY_CLUSTER = not is_private
    loader = getattr(ray._raylet, "AuthenticationTokenLoader", None)  # earlier versions of Ray have no tokens
    if loader is not None:
        loader.instance().reset_cache()  # each private Ray has a token of its own


def object_store_folder(folder: Path) -> Path:
    """Shared memory if it has room for the object store, else `folder`; containers often have 64 MB of it, or none."""
    try:
        free_bytes = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return folder
    has_room = free_bytes >= OBJECT_STORE_BYTES and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return SHARED_MEMORY if has_room else folder


class RayTune(Executor):
    """Runs tasks as the trials of one Tune experiment.

    Args:
        allocation: the number of workers, and the CPUs and GPUs of each.
        scratch: a folder for Tune's own files, which are not used; removed at the end of a run.
    """

    def __init__(self, allocation: Allocation, scratch: Path) -> None:
        self.allocation = allocation
        self.scratch = scratch

    @property
    def device(self) -> str:
        """The device of each worker; Ray shows each worker only its own GPU."""
        return "cuda" if self.allocation.gpus > 0 else "cpu"

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)  # left by a driver that was killed
        searcher = SourceSearcher(source)
        tuner = tune.Tuner(
            tune.with_resources(TaskRunner, {"cpu": self.allocation.cpus, "gpu": self.allocation.gpus}),
            param_space={"make_worker": make_worker, "device": self.device},
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=10**9,
                max_concurrent_trials=self.allocation.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(self.scratch),
                name="search",
                verbose=0,
                callbacks=[TickCallback(source, searcher)],
                failure_config=tune.FailureConfig(max_failures=0),  # a task that is run again is a new trial
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        # `max_calls`: the process ends with the call, and frees its GPU memory.
        options = {"num_cpus": self.allocation.cpus, "num_gpus": self.allocation.gpus, "max_retries": 0, "max_calls": 1}
        pending = ray.remote(**options)(function).remote(*arguments, self.device)
        while not ray.wait([pending], timeout=0.1)[0]:
            tick()
        try:
            result: Result = ray.get(pending)
        except ray.exceptions.RayTaskError as error:
            raise StudyError(reason(error.cause or error)) from None
        except ray.exceptions.RayError as error:
            raise StudyError(reason(error)) from None
        return result


class TaskRunner(tune.Trainable):
    """A reused actor: its process, libraries and data outlive its tasks. A `step` is a whole task."""

    def setup(self, config: dict[str, Any]) -> None:
        logs.configure_worker()
        self.task = config
        self.worker: Worker | None = None
        self.failure = ""
        try:
            self.worker = config["make_worker"](WorkerSite(config["device"]))
        except Exception as error:  # for example, images that this machine cannot read
            self.failure = reason(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.task = new_config
        return True

    def step(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"worker_failed": self.failure}
        if self.worker is not None:
            answer = {"result": self.worker.run(self.task["payload"])}
        return {"answer": json.dumps(answer), "done": True}  # as text: Tune would flatten nested values

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: a trial has its own checkpoint in the study's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


class SourceSearcher(Searcher):
    """Gives the tasks of a source to Tune, and their results to the source."""

    def __init__(self, source: TaskSource) -> None:
        super().__init__()
        self.source = source
        self.tasks: dict[str, Task] = {}  # Tune's id of the trial -> task
        self.lost: deque[Task] = deque()  # tasks that are run again
        self.failure: BaseException | None = None  # raised by the source, where Tune drops exceptions

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        task = self.lost.popleft() if self.lost else self.source.next_task()
        if not isinstance(task, Task):
            # Not finished while tasks run: they may be lost, and are then run again.
            return str(self.FINISHED) if task is FINISHED and not self.tasks else None
        self.tasks[trial_id] = task
        return {"payload": dict(task.payload)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: a task has one result, its last."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        task = self.tasks.pop(trial_id, None)
        if task is None:
            return
        answer: Mapping[str, Any] = {}
        if not error and result is not None and "answer" in result:
            answer = json.loads(result["answer"])
        try:
            if "worker_failed" in answer:
                self.source.on_worker_failed(answer["worker_failed"])
            elif "result" in answer:
                self.source.on_ended(task, answer["result"])
            elif self.source.on_lost(task, Loss("worker", "the worker died")):
                self.lost.append(task)
        except BaseException as error:  # Tune would drop it; the next tick raises it
            self.failure = error

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the state is the storage of the study."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles the searcher for a restore, which is never done here

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Do nothing."""


class TickCallback(tune.Callback):
    """Calls `source.on_started` and `source.tick`; Tune calls it at least ten times a second.

    Args:
        source: the source of tasks.
        searcher: maps Tune's ids of trials to tasks.
    """

    def __init__(self, source: TaskSource, searcher: SourceSearcher) -> None:
        self.source = source
        self.searcher = searcher

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Notify the source that a worker has received the task."""
        if trial.trial_id in self.searcher.tasks:
            self.source.on_started(self.searcher.tasks[trial.trial_id])

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Tick the source; an exception ends the run."""
        if self.searcher.failure is not None:
            raise self.searcher.failure
        self.source.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in `SourceSearcher`
