"""`ParetoSampler` in ordinary Optuna studies: what it proposes, what it never does, and that it finds fronts in few trials."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from nas.sampler import ParetoSampler, engine
from search_space import SearchSpace, cost

OPS = ("none", "skip", "conv1", "conv3")
PRICE = {"none": 0.0, "skip": 0.0, "conv1": 1.0, "conv3": 9.0}
WORTH = {"none": -1.0, "skip": 0.3, "conv1": 1.0, "conv3": 1.6}
SPACE = {f"edge{i}": CategoricalDistribution(OPS) for i in range(5)}
SMALL = {"a": CategoricalDistribution(["x", "y", "z"]), "b": IntDistribution(1, 4)}


def macs(params: dict[str, Any]) -> float:
    return 1.0 + sum(PRICE[op] for op in params.values())


def accuracy(params: dict[str, Any]) -> float:
    """Between 0 and 1; edges count differently, and two of them together more."""
    worth = sum(WORTH[op] * (1 + 0.3 * i) for i, op in enumerate(params.values()))
    worth += 1.0 if params["edge0"] == params["edge3"] == "skip" else 0.0
    return 1 - 0.9 * math.exp(-0.25 * (worth + 7.5))


def study_of(sampler: optuna.samplers.BaseSampler, *directions: str) -> optuna.Study:
    return optuna.create_study(directions=directions or ("maximize", "minimize"), sampler=sampler)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    params = {name: trial.suggest_categorical(name, OPS) for name in SPACE}
    return accuracy(params), macs(params)


def key(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    return tuple(sorted(trial.params.items()))


def hypervolume(points: list[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Of (accuracy, log macs), by strips."""
    total, best = 0.0, reference[0]
    ends = [*[math.log(c) for _, c in sorted(points, key=lambda p: p[1])][1:], reference[1]]
    for (a, c), end in zip(sorted(points, key=lambda p: (p[1], -p[0])), ends, strict=True):
        best = max(best, a)
        total += max(end - math.log(c), 0.0) * (best - reference[0])
    return total


def trainings_to(share: float, sampler: optuna.samplers.BaseSampler, most: int) -> int:
    """Distinct points trained until the front has `share` of the true hypervolume; `most` + 1 if it never has."""
    table = [dict(zip(SPACE, ops, strict=True)) for ops in itertools.product(OPS, repeat=len(SPACE))]
    outcomes = [(accuracy(p), macs(p)) for p in table]
    reference = (min(a for a, _ in outcomes), math.log(max(c for _, c in outcomes)))
    goal = share * hypervolume(outcomes, reference)
    study, seen = study_of(sampler), {}
    while len(seen) <= most:
        trial = study.ask(SPACE)
        value = accuracy(trial.params), macs(trial.params)
        study.tell(trial, value)
        seen[tuple(trial.params.values())] = value
        if hypervolume(list(seen.values()), reference) >= goal:
            return len(seen)
    return most + 1


def test_front_of_a_thousand_networks_in_few_trainings() -> None:
    ours = [trainings_to(0.99, ParetoSampler(SPACE, {1: macs}, seed=seed), 60) for seed in range(5)]
    others = [trainings_to(0.99, optuna.samplers.TPESampler(seed=seed, multivariate=True), 60) for seed in range(5)]
    assert np.median(ours) <= 20
    assert np.median(ours) * 2 <= np.median(others)


def test_first_are_the_cheapest_and_the_dearest() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))
    study.optimize(objective, n_trials=3)
    costs = [trial.values[1] for trial in study.trials]
    assert costs[0] == 1.0
    assert costs[1] == 46.0
    assert 1.0 < costs[2] < 46.0


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED])
def test_every_point_once_whatever_becomes_of_it_then_any(state: TrialState) -> None:
    study = study_of(ParetoSampler(SMALL, {1: lambda p: float(p["b"])}, seed=1))
    for _ in range(12):
        trial = study.ask(SMALL)
        study.tell(trial, (0.5, 1.0) if state == TrialState.COMPLETE else None, state=state)
    assert len({key(trial) for trial in study.trials}) == 12
    assert set(study.ask(SMALL).params) == {"a", "b"}


def test_parallel_trials_are_all_different_from_the_first_on() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))
    running = [study.ask(SPACE) for _ in range(16)]
    for _ in range(24):
        trial = running.pop(0)
        study.tell(trial, (accuracy(trial.params), macs(trial.params)))
        running.append(study.ask(SPACE))
    assert len({key(trial) for trial in study.trials}) == 40


def test_study_goes_on_in_another_sampler_without_a_point_twice(tmp_path: Any) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        storage=storage, study_name="s", directions=["maximize", "minimize"], sampler=ParetoSampler(SPACE, {1: macs})
    )
    study.optimize(objective, n_trials=6)
    study.ask(SPACE)  # running for ever
    study.enqueue_trial(dict.fromkeys(SPACE, "conv1") | {"edge0": "none"})
    again = optuna.load_study(storage=storage, study_name="s", sampler=ParetoSampler(SPACE, {1: macs}, seed=0))
    again.optimize(objective, n_trials=6)
    assert len({key(trial) for trial in again.trials}) == 13


def test_same_seed_proposes_the_same() -> None:
    runs = []
    for _ in range(2):
        study = study_of(ParetoSampler(SPACE, {1: macs}, seed=7))
        study.optimize(objective, n_trials=8)
        runs.append([key(trial) for trial in study.trials])
    assert runs[0] == runs[1]


def test_nan_failed_and_infinite_values_are_survived() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))
    for number in range(15):
        trial = study.ask(SPACE)
        value = {4: math.inf, 7: -math.inf}.get(number, accuracy(trial.params))
        if number == 1:
            with pytest.warns(UserWarning, match="nan is not acceptable"):
                study.tell(trial, (math.nan, macs(trial.params)))
        else:
            study.tell(trial, (value, macs(trial.params)))
    assert len({key(trial) for trial in study.trials}) == 15
    assert study.trials[1].state == TrialState.FAIL


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_scale_and_direction_of_accuracy_do_not_matter(scale: float, direction: str) -> None:
    """The same architectures are proposed for accuracies of 0 to 1, for percents, and for errors."""

    def proposals(scale: float, direction: str) -> list[Any]:
        study = study_of(ParetoSampler(SPACE, {1: macs}, seed=3), direction, "minimize")
        for _ in range(9):
            trial = study.ask(SPACE)
            value = scale * (accuracy(trial.params) if direction == "maximize" else 1 - accuracy(trial.params))
            study.tell(trial, (value, macs(trial.params)))
        return [key(trial) for trial in study.trials]

    assert proposals(scale, direction) == proposals(1.0, "maximize")


def test_cheap_benefits_are_maximised() -> None:
    study = study_of(ParetoSampler(SPACE, {1: lambda p: 100 / macs(p)}, seed=0), "maximize", "maximize")
    study.optimize(lambda t: (objective(t)[0], 100 / macs(t.params)), n_trials=12)
    assert study.trials[0].values[1] == 100.0
    best = max(study.trials, key=lambda t: t.values[0])
    assert best.values[0] > 0.95


def test_third_objective_that_is_measured_is_modelled() -> None:
    """Latency is known only after training; its best and worst corner are found without training at random."""

    def measured(params: dict[str, Any]) -> float:
        return 5.0 + sum(2.0 for op in params.values() if op == "skip") + 0.1 * macs(params)

    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0), "maximize", "minimize", "minimize")
    for _ in range(30):
        trial = study.ask(SPACE)
        study.tell(trial, (accuracy(trial.params), macs(trial.params), measured(trial.params)))
    assert min(trial.values[2] for trial in study.trials) <= 5.5
    assert max(trial.values[0] for trial in study.trials) > 0.97
    assert len(study.best_trials) >= 12


def test_parallel_trials_of_three_objectives() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0), "maximize", "minimize", "minimize")
    running = [study.ask(SPACE) for _ in range(6)]
    for _ in range(12):
        trial = running.pop(0)
        study.tell(trial, (accuracy(trial.params), macs(trial.params), 2.0 + len(set(trial.params.values()))))
        running.append(study.ask(SPACE))
    assert len({key(trial) for trial in study.trials}) == 18


def test_trainings_that_were_cut_short_are_learned_from() -> None:
    """Of trials stopped at a third of their steps only the intermediate value is known; the front of whole ones is theirs."""

    def after(trial: optuna.Trial, steps: int) -> float:
        return accuracy(trial.params) - 0.3 * (1 - steps / 9)

    sampler = ParetoSampler(SPACE, {1: macs}, budget=9, attributes={2: "speed"}, seed=0)
    study = study_of(sampler, "maximize", "minimize", "maximize")
    best = 0.0
    for number in range(36):
        trial = study.ask(SPACE)
        trial.set_user_attr("speed", 100 / macs(trial.params))
        study._storage.set_trial_intermediate_value(trial._trial_id, 3, after(trial, 3))
        if number % 4:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, (after(trial, 9), macs(trial.params), 100 / macs(trial.params)))
        best = max(best, accuracy(trial.params))
    assert len({key(trial) for trial in study.trials}) == 36
    assert best > 0.985  # of 1024 the best has 0.9943; a random 36 reach 0.97


def test_study_in_which_every_training_was_cut_short() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, budget=9, seed=0), "maximize", "minimize", "maximize")
    for _ in range(8):
        trial = study.ask(SPACE)
        study._storage.set_trial_intermediate_value(trial._trial_id, 1, accuracy(trial.params))
        study.tell(trial, state=TrialState.PRUNED)
    assert len({key(trial) for trial in study.trials}) == 8


def test_one_objective_is_searched_too() -> None:
    study = optuna.create_study(direction="minimize", sampler=ParetoSampler(SPACE, seed=0))
    study.optimize(lambda t: 1 - objective(t)[0], n_trials=40)
    best = min(1 - accuracy(dict(zip(SPACE, ops, strict=True))) for ops in itertools.product(OPS, repeat=5))
    assert study.best_value == pytest.approx(best, rel=0.05)


def test_nothing_beyond_limits_or_infeasible_is_proposed() -> None:
    sampler = ParetoSampler(
        SPACE, {1: macs}, limits={1: 20.0}, feasible=lambda p: p["edge0"] != "none", features=[lambda p: len(p)], seed=0
    )
    study = study_of(sampler)
    study.optimize(objective, n_trials=25)
    assert max(trial.values[1] for trial in study.trials) <= 20.0
    assert all(trial.params["edge0"] != "none" for trial in study.trials)


def test_measured_limit_is_kept_once_learned() -> None:
    def slow(params: dict[str, Any]) -> float:
        return 1.0 + sum(op == "conv3" for op in params.values())

    sampler = ParetoSampler(SPACE, {1: macs}, limits={2: 3.0}, seed=0)
    study = study_of(sampler, "maximize", "minimize", "minimize")
    for _ in range(30):
        trial = study.ask(SPACE)
        study.tell(trial, (accuracy(trial.params), macs(trial.params), slow(trial.params)))
    assert sum(trial.values[2] > 3.0 for trial in study.trials[15:]) <= 2


def test_large_space_is_searched_by_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ENUMERATED", 100)
    ours = [trainings_to(0.99, ParetoSampler(SPACE, {1: macs}, seed=seed), 60) for seed in range(3)]
    assert np.median(ours) <= 25


def test_many_observations_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "KEPT", 20)
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))
    study.optimize(objective, n_trials=60)
    assert len({key(trial) for trial in study.trials}) == 60
    assert max(trial.values[0] for trial in study.trials) > 0.97


def test_threads_share_a_sampler() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))
    study.optimize(objective, n_trials=16, n_jobs=4)
    assert len({key(trial) for trial in study.trials}) == 16


def test_sampler_can_be_pickled_and_copied() -> None:
    sampler = ParetoSampler(SMALL, seed=0)
    study = optuna.create_study(direction="maximize", sampler=pickle.loads(pickle.dumps(sampler)))
    study.optimize(lambda t: float(t.suggest_int("b", 1, 4)), n_trials=2)
    copy.deepcopy(study.sampler)


def test_parameters_outside_the_space_are_drawn_at_random() -> None:
    study = study_of(ParetoSampler(SPACE, {1: macs}, seed=0))

    def more(trial: optuna.Trial) -> tuple[float, float]:
        values = objective(trial)
        assert 0 <= trial.suggest_float("lr", 0, 1) <= 1
        return values

    study.optimize(more, n_trials=5)
    assert len({trial.params["lr"] for trial in study.trials}) == 5


def test_architectures_are_proposed_by_the_decisions_of_their_space() -> None:
    space = SearchSpace.from_dict(
        {
            "image_size": 16,
            "num_stages": [1, 2],
            "stem": {"patch": [2, 4]},
            "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}] * 2,
        }
    )
    sampler = ParetoSampler(
        space,
        {1: lambda a: cost(a).macs},
        features=[lambda a: cost(a).params],
        feasible=lambda a: cost(a).params < 20_000,
        seed=0,
    )
    study = study_of(sampler)
    found = []
    for _ in range(20):
        trial = study.ask()
        found.append(space.suggest(trial))
        study.tell(trial, (1 - 1 / cost(found[-1]).params, cost(found[-1]).macs))
    assert len({architecture.id for architecture in found}) == 20
    assert all(cost(architecture).params < 20_000 for architecture in found)
    cheapest = min(cost(a).macs for a in space if cost(a).params < 20_000)
    assert cost(found[0]).macs == cheapest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cheap": {2: macs}}, "must name one of the study's 2 objectives by its index from 0, found 2"),
        ({"cheap": {0: macs, 1: macs}}, r"must leave an objective that training measures, found all of \[0, 1\]"),
        ({"cheap": {1: macs}, "primary": 1}, r"must be an objective that is not cheap, one of \[0\], found 1"),
        ({"limits": {-1: 3.0}}, "found -1"),
    ],
)
def test_wrong_use_is_told(options: dict[str, Any], message: str) -> None:
    study = study_of(ParetoSampler(SPACE, seed=0, **options))
    with pytest.raises(ValueError, match=message):
        study.ask(SPACE)
