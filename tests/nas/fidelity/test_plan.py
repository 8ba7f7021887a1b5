"""The plan of `nas fidelity`: budgets, the sample over the costs, jobs and their keys; and the store of results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UsageError
from nas.fidelity.plan import Budget, Plan, create_budgets, create_plan, sample_over_costs
from nas.fidelity.request import FidelityRequest
from nas.fidelity.store import FILE, Store
from search_space import Architecture, SearchSpace, cost
from trainers.training.config import TrainConfig

STAGE = {
    "mixer": {"conv": {"k": [3, 5]}, "pool": None},
    "channel_mixer": {"mlp": {"expansion": [1, 2, 4]}},
    "depth": [1, 2, 3],
    "width": [8, 16, 24, 32, 48],
}
FEW = {"mixer": "pool", "depth": [1, 2], "width": [8, 16]}


def space_of(stage: Mapping[str, object], patch: list[int] | int = 2) -> SearchSpace:
    return SearchSpace.from_dict(
        {"stages": [stage], "image_size": 8, "in_chans": 1, "num_classes": 10, "stem": {"patch": patch}}
    )


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """270 architectures."""
    return space_of(STAGE, [2, 4])


@pytest.fixture(scope="module")
def plan(space: SearchSpace) -> Plan:
    """Four architectures, two seeds."""
    return create_plan(sample_over_costs(space, {}, 4, 0), create_budgets(TrainConfig(epochs=8), 3), 2, study_seed=5)


def test_budgets_of_a_proxy_of_twenty_epochs() -> None:
    budgets = {budget.name: budget for budget in create_budgets(TrainConfig(epochs=20), 4)}
    assert budgets == {
        "proxy": Budget("proxy", 20),
        "large": Budget("large", 80),
        "epochs/2": Budget("epochs/2", 10),
        "epochs/4": Budget("epochs/4", 5),
        "images/2": Budget("images/2", 20, images=2),
        "images/4": Budget("images/4", 20, images=4),
        "pixels/2": Budget("pixels/2", 20, pixels=2),
    }


@pytest.mark.parametrize(("epochs", "shorter"), [(1, []), (2, [1]), (3, [1]), (4, [2, 1]), (5, [2, 1])])
def test_short_proxies_have_no_budget_without_epochs_and_no_duplicate(epochs: int, shorter: list[int]) -> None:
    budgets = create_budgets(TrainConfig(epochs=epochs), 2)
    assert [budget.epochs for budget in budgets if budget.name.startswith("epochs/")] == shorter


def test_a_multiple_that_adds_no_epoch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--multiple 1\.2: must give more epochs than the proxy's 2, found 2"):
        create_budgets(TrainConfig(epochs=2), 1.2)


@pytest.mark.parametrize(
    ("sample", "multiple", "seeds", "message"),
    [
        (2, 4.0, 3, "--sample: must be at least 3 architectures to be ranked, found 2"),
        (3, 1.0, 3, "--multiple: must be above 1, and at most 10,000, found 1"),
        (3, float("nan"), 3, "--multiple: must be above 1, and at most 10,000, found nan"),
        (3, float("inf"), 3, "--multiple: must be above 1, and at most 10,000, found inf"),
        (3, 10_001.0, 3, "--multiple: must be above 1, and at most 10,000, found 10001"),
        (10_001, 4.0, 3, "--sample: must be at most 10,000, found 10001"),
        (3, 4.0, 0, "--seeds: must be at least 1, found 0"),
        (3, 4.0, 1_001, "--seeds: must be at most 1,000, found 1001"),
    ],
)
def test_requests_that_cannot_be_judged_are_refused(sample: int, multiple: float, seeds: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FidelityRequest(sample, multiple, seeds)


def test_the_sample_has_one_architecture_of_each_part_of_the_costs(space: SearchSpace) -> None:
    ranked = sorted(cost(architecture).macs for architecture in space)
    assert len(ranked) == space.size == 270
    for seed in range(3):
        sample = sample_over_costs(space, {}, 6, seed)
        macs = [cost(architecture).macs for architecture in sample]
        assert macs == sorted(macs)
        assert len({architecture.id for architecture in sample}) == 6
        for part, value in enumerate(macs):
            assert ranked[45 * part] <= value <= ranked[45 * part + 44]
    assert (
        sample_over_costs(space, {}, 6, 0) == sample_over_costs(space, {}, 6, 0) != sample_over_costs(space, {}, 6, 1)
    )


def test_a_large_space_is_sampled(space: SearchSpace) -> None:
    large = space_of({**STAGE, "width": list(range(8, 136, 8)), "depth": list(range(1, 9))}, [1, 2, 4])
    assert large.size > 64 * 3
    rng = np.random.default_rng(99)
    macs = np.array([cost(large.sample(rng)).macs for _ in range(1000)])
    places = [
        [np.mean(macs < cost(architecture).macs) for architecture in sample_over_costs(large, {}, 3, seed)]
        for seed in range(8)
    ]
    assert np.mean(places, axis=0) == pytest.approx([1 / 6, 3 / 6, 5 / 6], abs=0.12)  # four standard errors


def test_the_sample_keeps_the_limits_and_says_if_there_are_too_few(space: SearchSpace) -> None:
    limit = sorted(cost(architecture).macs for architecture in space)[9]
    within = [architecture for architecture in space if cost(architecture).macs <= limit]
    sample = sample_over_costs(space, {"macs": limit, "images_per_s": 1e9}, 5, 0)
    assert {architecture.id for architecture in sample} <= {architecture.id for architecture in within}
    message = rf"--sample 60: only {len(within)} architectures within the limits were found in the space"
    with pytest.raises(UsageError, match=message):
        sample_over_costs(space, {"macs": limit}, 60, 0)
    with pytest.raises(UsageError, match="--sample 5: only 4 architectures were found in the space"):
        sample_over_costs(space_of(FEW), {}, 5, 0)


def test_every_architecture_has_every_budget_and_the_scores_over_all_seeds(plan: Plan) -> None:
    expected = {
        (architecture.id, budget, number)
        for architecture in plan.architectures
        for budget in (*plan.budgets, None)
        for number in (0, 1)
    }
    assert {(job.id, job.budget, job.number) for job in plan.jobs} == expected
    assert len(plan.jobs) == len(expected) == 4 * 8 * 2
    assert len({job.seed for job in plan.jobs}) == len(plan.jobs)
    assert plan.impossible == {}
    assert plan.jobs[0].budget == Budget("large", 24)
    sizes = {job.budget: Architecture.from_json(job.architecture).image_size for job in plan.jobs}
    assert sizes == {budget: (4, 4) if budget and budget.pixels == 2 else (8, 8) for budget in (*plan.budgets, None)}


def test_architectures_that_do_not_fit_smaller_images_are_left_out_and_named() -> None:
    sample = sample_over_costs(space_of(STAGE, [2, 8]), {}, 6, 0)
    plan = create_plan(sample, create_budgets(TrainConfig(epochs=2), 2), 1, 0)
    large_patches = [architecture.id for architecture in sample if architecture.stem.patch == 8]
    assert large_patches
    assert [line.partition(":")[0] for line in plan.impossible["pixels/2"]] == large_patches
    assert "stem.patch: must divide the image 4x4, found 8" in plan.impossible["pixels/2"][0]
    trained = {job.id for job in plan.jobs if job.budget and job.budget.pixels == 2}
    assert trained == {architecture.id for architecture in sample} - set(large_patches)


def test_a_key_changes_with_what_changes_the_result_and_with_nothing_else(plan: Plan) -> None:
    job, setting = plan.jobs[0], {"train": {"lr": 0.1}, "device": "cpu"}
    assert job.budget is not None
    same = [replace(job, number=7), replace(job, budget=replace(job.budget, name="another"))]
    others = [
        replace(job, seed=job.seed + 1),
        replace(job, budget=replace(job.budget, epochs=9)),
        replace(job, budget=None),
        replace(job, architecture=plan.jobs[-1].architecture),
    ]
    assert {other.key(setting) for other in same} == {job.key(setting)}
    assert len({other.key(setting) for other in (job, *others)} | {job.key(setting | {"device": "cuda"})}) == 6
    assert len({other.key(setting) for other in plan.jobs}) == len(plan.jobs)


def test_half_of_the_epochs_is_the_proxy_of_half_the_epochs() -> None:
    sample = sample_over_costs(space_of(FEW), {}, 3, 0)
    keys = [
        {
            job.budget.name: job.key({})
            for job in create_plan(sample[:1], create_budgets(train, 2), 1, 0).jobs
            if job.budget
        }
        for train in (TrainConfig(epochs=8), TrainConfig(epochs=4))
    ]
    assert keys[0]["epochs/2"] == keys[1]["proxy"]
    assert keys[0]["proxy"] == keys[1]["large"]


def test_the_store_keeps_results_and_drops_an_incomplete_line(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.results == {}
    store.add("a", {"curve": [[0.5, 1.0]]})
    store.add("b", {"failure": "no\nmemory"})
    file = tmp_path / FILE
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"key": "c", "curve": [[0.')
    store = Store(tmp_path)
    assert store.results == {"a": {"key": "a", "curve": [[0.5, 1.0]]}, "b": {"key": "b", "failure": "no\nmemory"}}
    assert file.read_bytes() == whole
    store.add("c", {"curve": [[0.5, 1.0]]})
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == ["a", "b", "c"]
    file.write_bytes(b"\x00\x00\n" + file.read_bytes())
    assert set(Store(tmp_path).results) == {"a", "b", "c"}
