"""What runs on a node of the cluster: a Tune trainable whose steps are tasks.

Its class is sent by value, and mixfront is imported when a worker is created. So a node without mixfront, or with a version that
does not fit, reports this in words, together with its address.
"""

from __future__ import annotations

import json
import pickle
from typing import Any

import ray
from ray import tune


class TaskRunner(tune.Trainable):
    """A reused actor: its process, libraries and data outlive its tasks. A `step` is a whole task."""

    def setup(self, config: dict[str, Any], make_worker: bytes, device: str, files: Any) -> None:
        """Create the worker.

        Args:
            config: the first task (`payload`).
            make_worker: the pickled factory.
            device: the device of the worker.
            files: the handle of the depot of the driver's files; None: there is none.
        """
        self.task = config
        self.worker: Any = None
        self.failure = ""
        try:
            self.worker = create_worker(make_worker, device, files)
        except BaseException as error:  # for example, images that this machine cannot read
            self.failure = describe(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next task."""
        self.task = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Run the task; the answer is text, since Tune would flatten nested values."""
        if self.worker is None:
            answer = {"failed": self.failure, "node": ray.get_runtime_context().get_node_id()}
        else:
            try:
                answer = {"result": self.worker.run(self.task["payload"]), "device": label_of(self.worker)}
            except Exception as error:
                answer = {"raised": describe(error)}
        return {"answer": json.dumps(answer), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: a trial has its own checkpoint in the study's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


def create_worker(make_worker: bytes, device: str, files: Any) -> Any:
    """Create the worker of this process. The factory comes from the driver that started this actor, never from a file."""
    from nas import logs
    from nas.execution.base import WorkerSite
    from nas.execution.executors.ray_tune.depot import DepotFiles
    from nas.execution.garbage_collection import without_garbage_collection

    logs.configure_worker()
    with without_garbage_collection():
        return pickle.loads(make_worker)(WorkerSite(device, None if files is None else DepotFiles(files)))


def label_of(worker: Any) -> str | None:
    """The device of `worker`, as it names it (`nas.execution.base.device_of`)."""
    from nas.execution.base import device_of

    return device_of(worker)


def describe(error: BaseException) -> str:
    """The type and the message of `error`, in one line of at most 400 characters."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__


def call_function(call: bytes) -> bytes:
    """Call a pickled (function, arguments), which comes from the driver; returns the pickled result."""
    from nas import logs

    logs.configure_worker()
    function, arguments = pickle.loads(call)
    return pickle.dumps(function(*arguments))


class SlotResources(tune.PlacementGroupFactory):
    """The resources of a worker. Requests for the same slot are equal, and others are not (`slots`).

    Args:
        resources: the resources, as Ray names them.
        slot: the number of the slot.
        excluded: ids of nodes that are not used.
    """

    def __init__(self, resources: dict[str, float], slot: int, excluded: list[str]) -> None:
        self.slot = slot
        selector = {"ray.io/node-id": f"!in({','.join(excluded)})"}
        super().__init__([resources], **({"bundle_label_selector": [selector]} if excluded else {}))

    def __eq__(self, other: object) -> bool:
        return getattr(other, "slot", None) == self.slot

    def __hash__(self) -> int:
        return hash(self.slot)


class ResourcesOf:
    """Maps the configuration of a trial to its resources.

    Args:
        resources: the resources of a worker, as Ray names them.
    """

    def __init__(self, resources: dict[str, float]) -> None:
        self.resources = resources

    def __call__(self, config: dict[str, Any]) -> SlotResources:
        """The resources of the trial with this configuration."""
        return SlotResources(self.resources, config["slot"], config["excluded"])
