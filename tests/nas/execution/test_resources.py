"""The number of workers that a machine allows."""

from __future__ import annotations

import pytest

from nas.errors import UsageError
from nas.execution.resources import Allocation, Resources, allocate


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
