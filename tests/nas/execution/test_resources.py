"""The number of workers that a machine allows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nas.errors import UsageError
from nas.execution.resources import Allocation, Resources, allocate, count_gpus, has_gpu_driver


@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "found"),
    [
        ({}, 8, 0, Allocation(8, 1, 0)),
        ({"cpus_per_trial": 3}, 8, 0, Allocation(2, 3, 0)),
        ({"workers": 3}, 8, 0, Allocation(3, 1, 0)),
        ({"workers": 30}, 8, 0, Allocation(8, 1, 0)),
        ({}, 8, 2, Allocation(2, 1, 1)),
        ({"gpus_per_trial": 0}, 8, 2, Allocation(8, 1, 0)),
        ({"gpus_per_trial": 0.1}, 80, 1, Allocation(10, 1, 0.1)),
        ({"gpus_per_trial": 0.5}, 8, 2, Allocation(4, 1, 0.5)),
        ({"gpus_per_trial": 0.5}, 3, 2, Allocation(3, 1, 0.5)),
        ({"gpus_per_trial": 0.4}, 8, 2, Allocation(4, 1, 0.4)),  # no training lies on two GPUs
    ],
)
def test_workers(asked: dict[str, float], cpus: float, gpus: float, found: Allocation) -> None:
    assert allocate(Resources.model_validate(asked), {"CPU": cpus, "GPU": gpus}) == found


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpus_per_trial": 1}, "gpus_per_trial: the machine has 0 GPUs, found 1"),
        ({"cpus_per_trial": 9}, "cpus_per_trial: the machine has 8 CPUs, found 9"),
    ],
)
def test_missing_resources_are_an_error(asked: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        allocate(Resources.model_validate(asked), {"CPU": 8, "GPU": 0})


@pytest.mark.skipif(has_gpu_driver(), reason="the machine has a driver of GPUs: torch counts them")
def test_where_no_gpu_can_be_a_driver_opens_workers_without_torch_and_ray() -> None:
    code = """
import sys
from pathlib import Path
from nas.execution.base import open_executor
from nas.execution.resources import Resources
with open_executor("local", Resources(), Path("scratch")) as executor:
    print(executor.allocation.gpus, {"torch", "ray"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0.0 set()\n"


def test_torch_counts_the_gpus_of_a_machine_with_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.execution.resources.has_gpu_driver", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert count_gpus() == 3
