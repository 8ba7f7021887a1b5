"""What an executor on Ray gets of a machine or cluster, and why one could not be opened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nas.errors import StudyError, UsageError
from nas.execution.executors.ray_tune.capacity import count_workers
from nas.execution.executors.ray_tune.messages import WorkerRequest
from nas.execution.resources import Allocation, Resources, allocate


def allocate_workers(
    resources: Resources, nodes: Sequence[Mapping[str, float]], is_cluster: bool
) -> tuple[Allocation, WorkerRequest]:
    """The workers of a run on `nodes`. A cluster may have no node for one yet, and counts as one with a single worker.

    Raises:
        UsageError: a machine has too little for one worker.
    """
    if not is_cluster:
        allocation = allocate(resources, nodes[0])
        return allocation, WorkerRequest(allocation.cpus, allocation.gpus, limit=allocation.workers)
    share = resources.gpus_per_trial
    if share is None:
        share = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    request = WorkerRequest(resources.cpus_per_trial, share, resources.per_trial, resources.workers)
    return Allocation(max(1, count_workers(nodes, request)), request.cpus, request.gpus), request


def open_error(address: str | None, reason: str) -> StudyError:
    """The error for a Ray that could not be started (`address` is None) or joined, from Ray's own `reason`."""
    if address is None:
        return StudyError(f"Ray could not be started: {reason}")
    versions = re.search(r"Version mismatch.*?Ray: (\S+).*?Python: (\S+).*?Ray: (\S+).*?Python: (\S+)", reason)
    if versions:
        cluster, ours = (
            "Ray {} and Python {}".format(*versions.group(1, 2)),
            "Ray {} and Python {}".format(*versions.group(3, 4)),
        )
        return UsageError(f"resources.address: the cluster at {address} has {cluster}, and this machine {ours}")
    if re.search(r"[Tt]oken|[Aa]uthenticat", reason):
        rule = "a token that the cluster accepts (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token)"
        return UsageError(f"resources.address: the cluster at {address} needs {rule}: {reason}")
    if "Failed to connect" in reason:  # something answers at the address, but Ray says no more
        rule = "this machine must be a node of it (`ray start --address=...`) and have a token that it accepts"
        variables = "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"
        return UsageError(f"resources.address: the cluster at {address} could not be joined: {rule} ({variables})")
    return UsageError(f"resources.address: the cluster at {address} could not be joined: {reason}")
