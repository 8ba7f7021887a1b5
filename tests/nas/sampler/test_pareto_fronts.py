"""`ParetoSampler` finds good fronts in few trainings, on a problem whose true front is known."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.sampler import ParetoSampler, engine, objective_models


def hypervolume(points: list[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area that points (accuracy, MACs) dominate in the plane of accuracy and log MACs, by strips."""
    total, best = 0.0, reference[0]
    ends = [*[math.log(macs) for _, macs in sorted(points, key=lambda p: p[1])][1:], reference[1]]
    for (accuracy, macs), end in zip(sorted(points, key=lambda p: (p[1], -p[0])), ends, strict=True):
        best = max(best, accuracy)
        total += max(end - math.log(macs), 0.0) * (best - reference[0])
    return total


def trainings_to(cells: Any, share: float, seed: int, max_trainings: int) -> int:
    """Distinct points trained until the front has `share` of the true hypervolume; `max_trainings` + 1 if it never has."""
    outcomes = [(cells.accuracy(params), cells.macs(params)) for params in cells.all_params()]
    reference = (min(accuracy for accuracy, _ in outcomes), math.log(max(macs for _, macs in outcomes)))
    goal = share * hypervolume(outcomes, reference)
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=seed))
    trained: dict[tuple[Any, ...], tuple[float, float]] = {}
    while len(trained) <= max_trainings:
        trial = study.ask(cells.space)
        values = cells.accuracy(trial.params), cells.macs(trial.params)
        study.tell(trial, values)
        trained[tuple(trial.params.values())] = values
        if hypervolume(list(trained.values()), reference) >= goal:
            return len(trained)
    return max_trainings + 1


def test_front_of_a_thousand_networks_in_few_trainings(cells: Any) -> None:
    """For comparison, multivariate TPE took 41 to 123 trainings and random search 186 to 678 when this bound was set."""
    assert max(trainings_to(cells, 0.99, seed, max_trainings=60) for seed in range(5)) <= 20


def test_cheap_benefits_are_maximised(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: lambda p: 100 / cells.macs(p)}, seed=0), "maximize", "maximize")
    study.optimize(lambda t: (cells.objective(t)[0], 100 / cells.macs(t.params)), n_trials=12)
    assert study.trials[0].values[1] == 100.0
    best = max(study.trials, key=lambda t: t.values[0])
    assert best.values[0] > 0.95


def test_measured_objective_is_modelled(cells: Any) -> None:
    """Latency is known only after training: the sampler finds its low values, and high accuracies, all the same."""

    def measured(params: dict[str, Any]) -> float:
        return 5.0 + sum(2.0 for op in params.values() if op == "skip") + 0.1 * cells.macs(params)

    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0), "maximize", "minimize", "minimize")
    for _ in range(30):
        trial = study.ask(cells.space)
        study.tell(trial, (cells.accuracy(trial.params), cells.macs(trial.params), measured(trial.params)))
    assert min(trial.values[2] for trial in study.trials) <= 5.5
    assert max(trial.values[0] for trial in study.trials) > 0.97
    assert len(study.best_trials) >= 12


def test_stopped_trainings_inform_the_model(cells: Any) -> None:
    """Of three in four trials only the accuracy at a third of the steps is known; the best networks are found nevertheless."""

    def after(trial: optuna.Trial, steps: int) -> float:
        return cells.accuracy(trial.params) - 0.3 * (1 - steps / 9)

    sampler = ParetoSampler(cells.space, {1: cells.macs}, budget=9, attributes={2: "speed"}, seed=0)
    study = cells.study(sampler, "maximize", "minimize", "maximize")
    best = 0.0
    for number in range(36):
        trial = study.ask(cells.space)
        trial.set_user_attr("speed", 100 / cells.macs(trial.params))
        cells.report(study, trial, 3, after(trial, 3))
        if number % 4:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, (after(trial, 9), cells.macs(trial.params), 100 / cells.macs(trial.params)))
        best = max(best, cells.accuracy(trial.params))
    assert len({cells.key(trial) for trial in study.trials}) == 36
    assert best > 0.985  # of 1024 the best has 0.9943; a random 36 reach 0.97


def test_single_objective(cells: Any) -> None:
    study = optuna.create_study(direction="minimize", sampler=ParetoSampler(cells.space, seed=0))
    study.optimize(lambda t: 1 - cells.objective(t)[0], n_trials=40)
    best = min(1 - cells.accuracy(params) for params in cells.all_params())
    assert study.best_value == pytest.approx(best, rel=0.05)


def test_measured_limit_is_kept_once_learned(cells: Any) -> None:
    def slow(params: dict[str, Any]) -> float:
        return 1.0 + sum(op == "conv3" for op in params.values())

    sampler = ParetoSampler(cells.space, {1: cells.macs}, limits={2: 3.0}, seed=0)
    study = cells.study(sampler, "maximize", "minimize", "minimize")
    for _ in range(30):
        trial = study.ask(cells.space)
        study.tell(trial, (cells.accuracy(trial.params), cells.macs(trial.params), slow(trial.params)))
    assert sum(trial.values[2] > 3.0 for trial in study.trials[15:]) <= 2


def test_large_space_is_searched_by_candidates(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_ENUMERATED_POINTS", 100)
    assert median(trainings_to(cells, 0.99, seed, max_trainings=60) for seed in range(3)) <= 25


def test_many_observations_are_thinned(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective_models, "MAX_MODEL_OBSERVATIONS", 20)
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))
    study.optimize(cells.objective, n_trials=60)
    assert len({cells.key(trial) for trial in study.trials}) == 60
    assert max(trial.values[0] for trial in study.trials) > 0.97
