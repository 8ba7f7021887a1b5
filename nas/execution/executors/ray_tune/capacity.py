"""How many workers a cluster has room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nas.execution.executors.ray_tune.messages import WorkerRequest

TOLERANCE = 1e-6  # of amounts of resources, which are sums of fractions


def workers_on(node: Mapping[str, float], request: WorkerRequest) -> int:
    """The number of workers that fit on a node with these resources; no worker spans two GPUs."""
    fitting = [int((node.get("CPU", 0.0) + TOLERANCE) // request.cpus)]
    if request.gpus > 0:
        fitting.append(int(node.get("GPU", 0.0)) * int(1 / request.gpus + TOLERANCE))
    for name, amount in request.custom.items():
        if amount > 0:
            fitting.append(int((node.get(name, 0.0) + TOLERANCE) / amount))
    return min(fitting)


def count_workers(nodes: Iterable[Mapping[str, float]], request: WorkerRequest) -> int:
    """The number of workers on all `nodes`, at most `request.limit`."""
    count = sum(workers_on(node, request) for node in nodes)
    return count if request.limit is None else min(count, request.limit)
