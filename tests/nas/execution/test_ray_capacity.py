"""The number of workers that a cluster has room for."""

from __future__ import annotations

import pytest

from nas.errors import UsageError
from nas.execution.executors.ray_tune.capacity import count_workers, workers_on
from nas.execution.executors.ray_tune.messages import WorkerRequest
from nas.execution.executors.ray_tune.opening import allocate_workers, open_error
from nas.execution.resources import Allocation, Resources

GPU_NODE = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0}
CPU_NODE = {"CPU": 3.0}


@pytest.mark.parametrize(
    ("node", "request_", "expected"),
    [
        (CPU_NODE, WorkerRequest(1, 0), 3),
        (CPU_NODE, WorkerRequest(2, 0), 1),
        (CPU_NODE, WorkerRequest(4, 0), 0),
        (CPU_NODE, WorkerRequest(1, 0.5), 0),
        (GPU_NODE, WorkerRequest(1, 1), 2),
        (GPU_NODE, WorkerRequest(1, 0.4), 4),
        (GPU_NODE, WorkerRequest(3, 0.4), 2),
        (GPU_NODE, WorkerRequest(1, 0, {"accelerator_type:A100": 0.2}), 5),
        (CPU_NODE, WorkerRequest(1, 0, {"accelerator_type:A100": 0.2}), 0),
        ({}, WorkerRequest(1, 0), 0),
    ],
)
def test_workers_on_a_node(node: dict[str, float], request_: WorkerRequest, expected: int) -> None:
    assert workers_on(node, request_) == expected


def test_no_worker_spans_two_nodes_and_the_limit_holds_for_all() -> None:
    assert count_workers([CPU_NODE] * 3, WorkerRequest(2, 0)) == 3
    assert count_workers([CPU_NODE] * 3, WorkerRequest(1, 0, limit=4)) == 4


def test_a_cluster_without_a_fitting_node_is_waited_for_and_a_machine_is_refused() -> None:
    resources = Resources.model_validate({"cpus_per_trial": 4})
    allocation, request = allocate_workers(resources, [CPU_NODE], is_cluster=True)
    assert (allocation, request) == (Allocation(1, 4, 0.0), WorkerRequest(4, 0.0))
    with pytest.raises(UsageError, match=r"resources\.cpus_per_trial: the machine has 3 CPUs, found 4"):
        allocate_workers(resources, [CPU_NODE], is_cluster=False)


def test_a_cluster_with_gpus_gives_one_to_each_worker() -> None:
    allocation, request = allocate_workers(Resources(), [CPU_NODE, GPU_NODE], is_cluster=True)
    assert (allocation, request.device) == (Allocation(2, 1, 1.0), "cuda")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "RuntimeError: Version mismatch: The cluster was started with: Ray: 2.58.0 Python: 3.12.1"
            " This process on node 10.0.0.2 was started with: Ray: 2.60.0 Python: 3.11.2",
            r"at head:1 has Ray 2\.58\.0 and Python 3\.12\.1, and this machine Ray 2\.60\.0 and Python 3\.11\.2$",
        ),
        ("AuthenticationError: Token authentication failed", r"at head:1 needs a token that the cluster accepts"),
        ("ConnectionError: Failed to connect to Ray cluster at head:1", r"must be a node of it .* and have a token"),
        ("ConnectionError: no", r"the cluster at head:1 could not be joined: ConnectionError: no"),
    ],
)
def test_why_a_cluster_cannot_be_joined(reason: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        raise open_error("head:1", reason)
