"""Ray Tune executes the trials: warm actors that are used again, driven by an own `ray.tune` searcher. The only file that
imports ray.

Ray is disposable. It holds no state that matters: no Tune checkpoints, no result files; after a crash the study's
storage says what was running, and each trial goes on from its own checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StudyError, reason
from nas.execution import environment
from nas.execution.resources import Machine, check_answers, cpus_of, machine_of

if TYPE_CHECKING:  # a worker imports this module too, and needs neither Optuna nor the screen; the driver not yet torch
    from nas.driver.dispatch import Dispatch
    from nas.evaluation.settings import Measuring, Setting
    from nas.execution.interrupts import Interrupts
    from nas.study.config import Resources
    from search_space.operators import Operator

# Before ray is imported. Together these took the overhead of a trial from 2.5 s (Tune's default) to about 10 ms and Ray's
# own words from the screen. The memory monitor would end the whole run where a trial asks for too much. With Ray's niceness of 15
# workers all but stand still beside anything else that computes; with none they are what a plain training is.
os.environ.update(
    {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_IGNORE_UNHANDLED_ERRORS": "1",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_worker_niceness": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
        "TUNE_MAX_PENDING_TRIALS_PG": "2",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    }
)

import ray
from ray import tune
from ray.tune.search.searcher import Searcher as TuneSearcher

RESTARTS = 1  # of a trial whose worker died: it may have been the machine; twice is the trial


class TrialWorker(tune.Trainable):
    """A warm actor: its process, libraries and data outlive its trials. A `step` is a whole trial, or leg of one."""

    def setup(self, config: dict[str, Any]) -> None:
        import torch

        from nas.evaluation.evaluator import Evaluator

        torch.set_num_threads(config["threads"])
        warnings.simplefilter("ignore")  # nobody reads a worker's screen
        self.trial = config
        self.evaluator: Evaluator | None = None
        self.broken = ""
        try:
            self.evaluator = Evaluator(config["setting"])
        except Exception as error:  # such as images that this machine does not see
            self.broken = reason(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.trial = new_config
        return True

    def step(self) -> dict[str, Any]:
        trial = self.trial
        if self.evaluator is None:
            record: dict[str, Any] = {"unfit": self.broken}
        else:
            folder = Path(trial["folder"])
            record = self.evaluator.run(trial["architecture"], trial["seed"], folder, trial["until"], trial["before"])
        return {"record": json.dumps(record), "done": True}  # as text: Tune would take nested values apart

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial has its own checkpoint in the study's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, likewise."""


class AskTell(TuneSearcher):
    """Hands Ray Tune what `Dispatch` hands out, and tells it what came of each."""

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self.dispatch = dispatch

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        proposal = self.dispatch.hand_out(trial_id)
        if proposal is None:
            return None if self.dispatch.waits else self.FINISHED
        return {
            "architecture": proposal.architecture.to_json(),
            "seed": proposal.seed,
            "folder": str(self.dispatch.folder_of(proposal.number)),
            "until": proposal.until,
            "before": dict(proposal.before),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a trial has one result, its last."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        record = None if error or result is None or "record" not in result else json.loads(result["record"])
        self.dispatch.done(trial_id, record)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the study's storage is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles what it is given, for a restore that never happens here

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Nothing, likewise."""


class Pulse(tune.Callback):
    """Called by Tune ten times a second at least."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A worker has got the trial."""
        self.dispatch.begun(trial.trial_id)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Do what is due; this may raise what ends the search."""
        self.dispatch.pulse()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as that of `AskTell`


@contextmanager
def cluster(resources: Resources) -> Iterator[Machine]:
    """A running Ray and what it offers: a private one on this machine, or the cluster at an address; shut down at the end.

    Raises:
        UsageError: the cluster does not have what a training needs.
    """
    environment.keep_memory()
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    if resources.address is not None:
        check_answers(resources.address)
        ray.init(resources.address, **quiet)
    else:
        # Trials share files, not objects: 100 MB of shared memory are plenty.
        ray.init(
            "local", num_cpus=cpus_of(resources), include_dashboard=False, object_store_memory=100_000_000, **quiet
        )
    try:
        yield machine_of(resources, ray.cluster_resources())
    finally:
        ray.shutdown()


def operator_seconds(
    wanted: Sequence[Operator],
    batch_size: int,
    max_time_s: float,
    setting: Setting,
    machine: Machine,
    interrupts: Interrupts,
) -> list[float]:
    """Seconds of a pass of `batch_size` images through each of `wanted`, in order, as far as `max_time_s` go; timed in a process
    with what a trial has. Call within `cluster`.

    Raises:
        StudyError: they could not be timed.
    """
    # `max_calls`: its process ends, and with it what it holds of a GPU.
    timing = ray.remote(num_cpus=machine.cpus, num_gpus=machine.gpus, max_retries=0, max_calls=1)(_timed)
    found = timing.remote(list(wanted), batch_size, max_time_s, setting.measuring, setting.device, machine.cpus)
    while not ray.wait([found], timeout=0.1)[0]:
        interrupts.check()
    try:
        return list(ray.get(found))
    except ray.exceptions.RayError as error:
        raise StudyError(f"operators could not be timed: {reason(error)}") from None


def _timed(
    wanted: list[Operator], batch_size: int, max_time_s: float, measuring: Measuring, device: str, threads: int
) -> list[float]:
    import torch

    from nas.evaluation.measurer import Measurer
    from trainers.device_lock import DeviceLock

    torch.set_num_threads(threads)
    return Measurer(measuring, device, DeviceLock(device)).operators(wanted, batch_size, max_time_s)


def run(dispatch: Dispatch, setting: Setting, scratch: Path, machine: Machine) -> None:
    """Run what `dispatch` hands out until there is no more. Ray Tune keeps its own files in the folder `scratch`, which is
    removed.

    Call within `cluster`. Raises `KeyboardInterrupt` soon after the interrupts of `dispatch` have caught a signal.

    Raises:
        StudyError: a worker cannot begin, such as where it does not see the images; its trial is left for the next search.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # of a driver that was killed
    trainable = tune.with_resources(TrialWorker, {"cpu": machine.cpus, "gpu": machine.gpus})
    tuner = tune.Tuner(
        trainable,
        param_space={"setting": setting, "threads": machine.cpus},
        tune_config=tune.TuneConfig(
            search_alg=AskTell(dispatch),
            num_samples=10**9,
            max_concurrent_trials=machine.workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch),
            name="search",
            verbose=0,
            callbacks=[Pulse(dispatch)],
            failure_config=tune.FailureConfig(max_failures=RESTARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        dispatch.write()
        shutil.rmtree(scratch, ignore_errors=True)
