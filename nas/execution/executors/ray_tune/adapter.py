"""Ray and Ray Tune, as the host process uses them. Only this module, `searcher.py` and `runner.py` import ray.

Private parts of Ray, each with its reason (`tests/nas/execution/test_ray_adapter.py` names them):

- `ray_constants.ENABLE_RAY_CLUSTER`: the only switch that makes a private Ray listen on 127.0.0.1 alone.
- `_global_node`: the processes of a private Ray and the socket of the raylet, which the host watches.
- `_private.state.actors`: the node of an actor that died; the public interface needs the dashboard.
- `actor._actor_id`: the key of that table.
- `Node.start_monitor`, `start_api_server`, `start_log_monitor`: processes of a private Ray that no parameter leaves out.
- `tune_controller._ObjectCache`: Tune's idle workers, which are kept by slot instead (`slots`).
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray._private import ray_constants, state, worker as ray_worker
from ray._private.node import Node
from ray.tune.execution import tune_controller

from nas.execution.executors.ray_tune import runner
from nas.execution.executors.ray_tune.depot import open_depot
from nas.execution.executors.ray_tune.messages import OpenRay, RunTasks, WorkerRequest
from nas.execution.executors.ray_tune.temporary_folder import RAY_FOLDER
from nas.execution.executors.ray_tune.watch import Check, check_cluster, check_processes

OBJECT_STORE_BYTES = 100_000_000  # of a private Ray; small, since trials share files, not objects
SHARED_MEMORY = Path("/dev/shm")
IDLE_PROCESSES = ("start_monitor", "start_api_server")
"""Methods of a node that start what a private Ray has no use for: the autoscaler, and the server of the dashboard, which without
a dashboard counts Ray's users."""
LOG_PROCESS = "start_log_monitor"
"""The one that sends the lines of the workers to the driver."""


def start(order: OpenRay, is_verbose: bool) -> Check:
    """Start a private Ray, or join a cluster; returns the check that watches it.

    Raises:
        Exception: any of Ray's, if that does not work.
    """
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {
        "log_to_driver": is_verbose,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    ray.cloudpickle.register_pickle_by_value(runner)  # nodes without mixfront run it, too, and say so
    if order.address is not None:
        ray.init(order.address, **quiet)
        return check_cluster(order.address, ray_worker._global_node.raylet_socket_name)
    ray_constants.ENABLE_RAY_CLUSTER = False
    folder = Path(order.folder)
    with without_processes(*IDLE_PROCESSES, *(() if is_verbose else (LOG_PROCESS,))):
        ray.init(
            "local",
            include_dashboard=False,
            num_cpus=order.cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder / RAY_FOLDER),
            _plasma_directory=str(object_store_folder(folder)),
            **quiet,
        )
    processes = ray_worker._global_node.all_processes
    names = (ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER)
    return check_processes({name: processes[name][0].process for name in names})


@contextmanager
def without_processes(*starts: str) -> Iterator[None]:
    """A node that is started within the block leaves out the processes that its methods `starts` start.

    Each takes half a second of a processor, and Ray waits for the server of the dashboard.
    """
    methods = {name: getattr(Node, name) for name in starts}
    for name in starts:
        setattr(Node, name, lambda self, **options: None)
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(Node, name, method)


def object_store_folder(folder: Path) -> Path:
    """Shared memory if it has room for the object store, else `folder`; containers often have 64 MB of it, or none."""
    try:
        free_bytes = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return folder
    has_room = free_bytes >= OBJECT_STORE_BYTES and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return SHARED_MEMORY if has_room else folder


def living_nodes() -> dict[str, Mapping[str, Any]]:
    """Id -> description of each node of the cluster that lives."""
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


def actor_id(actor: Any) -> str:
    """The id of an actor, under which `node_of` finds it when it is dead."""
    return str(actor._actor_id.hex())


def node_of(actor: str) -> str | None:
    """The id of the node on which the actor with the id `actor` is, or was; None if it never was on one."""
    return state.actors(actor).get("Address", {}).get("NodeID") or None


def bundle(request: WorkerRequest) -> dict[str, float]:
    """The resources of a worker, as Ray names them."""
    return {"CPU": request.cpus, "GPU": request.gpus, **request.custom}


def call(content: bytes, request: WorkerRequest, step: Callable[[], None]) -> bytes:
    """Call a pickled (function, arguments) with the resources of a worker; returns the pickled result.

    `step` is called several times a second meanwhile.

    Raises:
        Exception: what the function raised, or `ray.exceptions.RayError`.
    """
    options = {
        "num_cpus": request.cpus,
        "num_gpus": request.gpus,
        "resources": dict(request.custom),
        "max_retries": 0,
        "max_calls": 1,  # the process ends with the call, and frees its GPU memory
    }
    pending = ray.remote(**options)(runner.call_function).remote(content)
    while not ray.wait([pending], timeout=0.1)[0]:
        step()
    try:
        return bytes(ray.get(pending))
    except ray.exceptions.RayTaskError as error:
        raise error.cause or error from None


@contextmanager
def opened_depot(folder: Path) -> Iterator[Any]:
    """The depot of the files of `folder`, for workers on other machines, while the block runs."""
    depot = open_depot(folder)
    try:
        yield depot
    finally:
        ray.kill(depot)


class Demand:
    """Placement groups that wait for nodes, so that the autoscaler of a cluster adds some. They end with this process.

    Args:
        request: what a worker needs.
    """

    def __init__(self, request: WorkerRequest) -> None:
        self.bundle = {name: amount for name, amount in bundle(request).items() if amount}
        self.groups: list[Any] = []

    def show(self, workers: int) -> None:
        """Ask for this number of further `workers`. A group that is placed takes what a worker could use, so it is removed."""
        if any(ray.util.placement_group_table(group)["state"] == "CREATED" for group in self.groups):
            workers = 0
        while len(self.groups) > workers:
            ray.util.remove_placement_group(self.groups.pop())
        while len(self.groups) < workers:
            self.groups.append(ray.util.placement_group([self.bundle]))


def create_tuner(search: Any, callback: Any, order: RunTasks, files: Any, folder: Path) -> tune.Tuner:
    """The Tune experiment that runs the tasks of `search` (a `searcher.TaskSearcher`), with its own files in `folder`."""
    tune_controller._ObjectCache = lambda may_keep_one: search.slots
    request = order.request
    trainable = tune.with_parameters(
        runner.TaskRunner, make_worker=order.make_worker, device=request.device, files=files
    )
    return tune.Tuner(
        tune.with_resources(trainable, runner.ResourcesOf(bundle(request))),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=sys.maxsize, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            name="search",
            verbose=0,
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=0),  # a task that is run again is a new trial
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )


def stop() -> None:
    """End a private Ray, or leave the cluster."""
    ray.shutdown()
