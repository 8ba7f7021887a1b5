"""A fidelity run with known true accuracies: its plan, the records of its trainings, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest

from nas.fidelity.findings import compute_findings
from nas.fidelity.plan import Plan, create_budgets, create_plan, sample_over_costs
from nas.fidelity.values import Findings
from search_space import SearchSpace
from trainers.training.config import TrainConfig

Records: TypeAlias = dict[tuple[str, str, int], dict[str, Any]]

ARCHITECTURES, SEEDS = 12, 3
STAGE = {
    "mixer": {"conv": {"k": [3, 5]}, "pool": None},
    "depth": [1, 2, 3],
    "width": [8, 16, 24, 32, 48],
}
NOISE_SCALES = {
    "proxy": 0.03, "large": 0.01, "epochs/2": 0.02, "epochs/4": 0.2,
    "images/2": 0.03, "images/4": 0.05, "pixels/2": 0.02,
}  # fmt: skip


@pytest.fixture(scope="session")
def noise_scales() -> Mapping[str, float]:
    """Budget -> standard deviation of the noise of its accuracies."""
    return NOISE_SCALES


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Twelve architectures, three seeds; patches of 8 pixels do not fit images of half the size."""
    space = SearchSpace.from_dict(
        {"stages": [STAGE], "image_size": 8, "in_chans": 1, "num_classes": 10, "stem": {"patch": [2, 8]}}
    )
    sample = sample_over_costs(space, {}, ARCHITECTURES, 0)
    return create_plan(sample, create_budgets(TrainConfig(epochs=8), 4), SEEDS, 0)


def training_record(accuracy: float, epochs: int, seconds: float) -> dict[str, Any]:
    """A training whose accuracy rises linearly to `accuracy`, with `seconds` per epoch."""
    return {"curve": [[accuracy * (epoch + 1) / epochs, seconds] for epoch in range(epochs)]}


@pytest.fixture(scope="session")
def records(plan: Plan) -> Records:
    """True accuracies that rise with the index in the plan, but for two that are swapped, plus the noise of each budget."""
    rng = np.random.default_rng(0)
    order = [architecture.id for architecture in plan.architectures]
    order[3], order[9] = order[9], order[3]
    accuracies = {id_: 0.5 + 0.03 * index for index, id_ in enumerate(order)}
    records: Records = {}
    for job in plan.jobs:
        key = ("scores" if job.budget is None else job.budget.name, job.id, job.number)
        if job.budget is None:
            scores = {"naswot": [rng.normal(), 0.08], "synflow": [accuracies[job.id], 0.04], "zico": ["it is inf", 0.1]}
            records[key] = {"scores": scores}
        else:
            accuracy = accuracies[job.id] + rng.normal(scale=NOISE_SCALES[job.budget.name])
            records[key] = training_record(accuracy, job.budget.epochs, seconds=1.0 / job.budget.images)
    return records


@pytest.fixture(scope="session")
def judge(plan: Plan) -> Callable[..., Findings]:
    """The findings of the plan from other records, or from fewer seeds."""

    def findings_from(records: Mapping[tuple[str, str, int], Any], seeds: int = SEEDS) -> Findings:
        return compute_findings(plan, records, seeds, study="a <b>", dataset="digits", describe_s=0.004, seed=0)

    return findings_from


@pytest.fixture(scope="session")
def findings(judge: Callable[..., Findings], records: Records) -> Findings:
    """The findings from `records`."""
    return judge(records)
