"""Inherited trainings of a study, which a fidelity run judges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from nas.fidelity.findings import compute_findings
from nas.fidelity.inherited import InheritedTraining, inherited_trainings, sample_inherited
from nas.fidelity.plan import Plan
from nas.fidelity.tables import summary
from nas.fidelity.values import Findings
from nas.fidelity.verdict import verdict
from nas.objectives.costs import costs_of
from search_space import SearchSpace

STOPPED = {"file": "model.safetensors", "parent": 0, "epochs": 2, "tensors": 3, "parameters": 0.5}
CURVE = [{"epoch": epoch + 1, "val_accuracy": 0.1 * epoch, "wall_s": 2.0} for epoch in range(6)]


def test_accuracies_are_those_after_the_inherited_training() -> None:
    space = SearchSpace.from_dict({"stages": [{"mixer": "pool", "width": [8, 16, 24]}], "image_size": 8})
    plain = [architecture.to_dict() for architecture in space]
    attributes = [
        {"architecture": plain[0], "inherited": STOPPED, "curve": CURVE[:2]},
        {"architecture": plain[1], "inherited": STOPPED, "curve": CURVE},  # trained from scratch afterwards
        {"architecture": plain[2], "curve": CURVE},
        {"architecture": plain[2], "inherited": {"parent": "?"}, "curve": CURVE[:2]},
    ]
    trials = [
        create_trial(
            state=TrialState.COMPLETE if each["curve"] == CURVE else TrialState.PRUNED,
            values=[0.9] if each["curve"] == CURVE else None,
            user_attrs=each,
            intermediate_values={2: 0.3} if "inherited" in each else {},
        )
        for each in attributes
    ]
    first, second = inherited_trainings(trials, "accuracy")
    assert (first.architecture.id, first.epochs, first.accuracy, first.seconds) == (
        next(iter(space)).id,
        2,
        0.3,
        4.0,
    )
    assert (second.architecture.to_dict(), second.accuracy) == (plain[1], 0.3)
    assert math.isnan(second.seconds)
    (other,) = inherited_trainings(trials, "macro_f1")  # its values are no accuracies; only the curve has one
    assert (other.architecture, other.accuracy) == (first.architecture, 0.1)


def trainings_of(plan: Plan, accuracies: list[float]) -> list[InheritedTraining]:
    return [InheritedTraining(a, 2, value, 1.5) for a, value in zip(plan.architectures, accuracies, strict=True)]


def test_a_sample_is_spread_over_macs(plan: Plan) -> None:
    trainings = trainings_of(plan, [0.5] * len(plan.architectures))
    assert sample_inherited(trainings[::-1], 99, 0) == tuple(trainings)
    chosen = sample_inherited(trainings, 4, 0)
    macs = [costs_of(training.architecture).macs for training in chosen]
    assert macs == sorted(macs)
    quarters = [trainings.index(training) // (len(trainings) // 4) for training in chosen]
    assert quarters == [0, 1, 2, 3]
    assert len(sample_inherited([*trainings, *trainings], 99, 0)) == len(trainings)


@pytest.mark.parametrize("direction", [1, -1])
def test_they_are_compared_with_the_mean_of_trainings_from_scratch(
    plan: Plan, records: Any, direction: int, judge: Callable[..., Findings]
) -> None:
    def mean(architecture_id: str) -> float:
        curves = [records["proxy", architecture_id, seed]["curve"] for seed in range(3)]
        return sum(curve[-1][0] for curve in curves) / 3

    means = [mean(architecture.id) for architecture in plan.architectures]
    accuracies = [direction * value for value in means]
    accuracies[0], accuracies[1] = accuracies[1], accuracies[0]
    findings = compute_findings(
        plan,
        records,
        3,
        study="s",
        dataset="digits",
        describe_s=0.004,
        seed=0,
        inherited=trainings_of(plan, accuracies),
    )
    pairs = list(itertools.combinations(range(len(means)), 2))
    agreeing = sum((means[i] - means[j]) * (accuracies[i] - accuracies[j]) > 0 for i, j in pairs)
    assert findings.inherited is not None
    assert findings.inherited.value == pytest.approx(2 * agreeing / len(pairs) - 1)
    row = findings.proxy("inherited")
    assert row is not None
    assert row.cost == pytest.approx(1.5 / 8)  # of eight epochs of a second
    text = f"The study's 12 trainings with inherited weights rank as trainings from scratch do with tau {direction * 0.97:.2f}"
    assert any(sentence.startswith(text) for sentence in verdict(findings))
    assert findings.to_dict()["inherited"]["value"] == pytest.approx(findings.inherited.value)
    assert summary(findings) is not None
    without = judge(records)
    assert (without.inherited, without.proxy("inherited")) == (None, None)
    assert [p.name for p in without.proxies] == [p.name for p in findings.proxies if p.name != "inherited"]
