"""Regularised evolution: ranks and distances against naive forms, the population, the choice of parents, and children."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from nas.sampler.evolution import RegularisedEvolution, crowding_distance, rank_order
from search_space import SearchSpace

NAMES = "abcdef"
DISTRIBUTIONS = {name: CategoricalDistribution([0, 1, 2, 3]) for name in NAMES}
SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "num_stages": [1, 2],
        "stem": {"patch": [1, 2]},
        "stages": [
            {"mixer": {"conv": {"k": [3, 5]}, "attention": {"heads": [2, 4]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}
        ]
        * 2,
    }
)  # fmt: skip


def study_of(sampler: optuna.samplers.BaseSampler, *directions: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=directions or ("maximize", "minimize"), sampler=sampler)


def add(study: optuna.Study, params: dict[str, Any], *values: float, state: TrialState = TrialState.COMPLETE) -> None:
    """Add a finished trial of the fixed space."""
    outcome = {"values": values} if values else {}
    study.add_trial(create_trial(params=params, distributions=DISTRIBUTIONS, state=state, **outcome))


def uniform(value: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, value)


def children(study: optuna.Study, count: int = 40) -> list[dict[str, Any]]:
    """The parameters of new trials, none of which has ended."""
    return [study.ask(dict(DISTRIBUTIONS)).params for _ in range(count)]


def differing(a: dict[str, Any], b: dict[str, Any]) -> int:
    return sum(a[name] != b[name] for name in NAMES)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_ranks_equal_those_of_removing_fronts_one_by_one(rows: list[tuple[int, ...]]) -> None:
    left = set(range(len(rows)))
    rank = {}
    for level in itertools.count():
        front = {
            i
            for i in left
            if not any(rows[j] != rows[i] and all(x <= y for x, y in zip(rows[j], rows[i], strict=True)) for j in left)
        }
        rank |= dict.fromkeys(front, level)
        left -= front
        if not left:
            break
    order = rank_order(np.array(rows, dtype=float))
    assert sorted(order) == list(range(len(rows)))
    assert [rank[i] for i in order] == sorted(rank.values())


def test_crowding_worked_out_by_hand() -> None:
    losses = np.array([[0.0, 8.0], [1.0, 4.0], [3.0, 2.0], [4.0, 0.0]])
    # the second: (3 - 0)/4 + (8 - 2)/8, the third: (4 - 1)/4 + (4 - 0)/8
    assert crowding_distance(losses).tolist() == [math.inf, 1.5, 1.25, math.inf]
    assert rank_order(losses)[2:] == [1, 2]
    assert crowding_distance(np.ones((3, 2))).tolist() == [0, 0, 0]


def test_single_objective_is_ranked_by_value() -> None:
    assert rank_order(np.array([[3.0], [1.0], [2.0]])) == [1, 2, 0]


def test_first_trials_are_random_and_later_ones_differ_from_a_member_in_one_parameter() -> None:
    study = study_of(RegularisedEvolution(population_size=10, tournament_size=3, seed=0))
    proposals: list[dict[str, Any]] = []
    for number in range(40):
        trial = study.ask(dict(DISTRIBUTIONS))
        if number >= 10:
            assert min(differing(trial.params, member) for member in proposals[-10:]) <= 1
            assert any(differing(trial.params, member) == 1 for member in proposals[-10:])
        proposals.append(trial.params)
        study.tell(trial, [float(sum(trial.params.values())), float(trial.params["a"])])
    assert len({tuple(params.values()) for params in proposals[:10]}) > 5
    assert len({tuple(params.values()) for params in proposals[10:]}) > 5


def test_the_best_member_of_the_tournament_is_the_parent() -> None:
    study = study_of(RegularisedEvolution(population_size=4, tournament_size=4, seed=1))
    for value, accuracy, cost in ((0, 0.5, 5.0), (1, 0.9, 1.0), (2, 0.4, 2.0), (3, 0.8, 1.5)):
        add(study, uniform(value), accuracy, cost)
    assert {differing(child, uniform(1)) for child in children(study)} == {1}


def test_every_parameter_can_mutate_to_every_other_value() -> None:
    study = study_of(RegularisedEvolution(population_size=1, tournament_size=1, seed=1))
    add(study, uniform(1), 0.5, 1.0)
    changed = {(name, child[name]) for child in children(study, 200) for name in NAMES if child[name] != 1}
    assert changed == {(name, value) for name in NAMES for value in (0, 2, 3)}


def test_oldest_member_dies_however_good_it_is() -> None:
    study = study_of(RegularisedEvolution(population_size=5, tournament_size=5, seed=2))
    add(study, uniform(3), 1.0, 0.0)
    for _ in range(4):
        add(study, uniform(0), 0.1, 9.0)
    assert all(differing(child, uniform(3)) == 1 for child in children(study))
    add(study, uniform(0), 0.1, 9.0)
    assert all(differing(child, uniform(0)) == 1 for child in children(study))


def test_failed_pruned_and_infinite_trials_are_not_members() -> None:
    study = study_of(RegularisedEvolution(population_size=2, tournament_size=2, seed=3))
    add(study, uniform(0), 0.1, 9.0)
    add(study, uniform(1), 0.1, 9.0)
    add(study, uniform(3), state=TrialState.FAIL)
    add(study, uniform(3), state=TrialState.PRUNED)
    add(study, uniform(3), math.inf, 0.0)
    assert all(min(differing(child, uniform(0)), differing(child, uniform(1))) == 1 for child in children(study))


def test_numbers_and_single_values_are_mutated_as_their_distributions_allow() -> None:
    study = study_of(RegularisedEvolution(population_size=1, tournament_size=1, seed=4))
    distributions = {
        "width": IntDistribution(16, 64, step=16),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "fixed": CategoricalDistribution(["only"]),
    }
    params = {"width": 32, "lr": 1e-2, "fixed": "only"}
    study.add_trial(create_trial(params=params, distributions=distributions, values=[1.0, 1.0]))
    children_params = [study.ask(dict(distributions)).params for _ in range(60)]
    assert all((params["width"] != 32) + (params["lr"] != 1e-2) == 1 for params in children_params)
    assert {params["width"] for params in children_params} == {16, 32, 48, 64}


def test_inherited_value_outside_the_distribution_is_replaced() -> None:
    study = study_of(RegularisedEvolution(population_size=1, tournament_size=1, seed=5))
    narrow = {"x": IntDistribution(0, 100), "y": IntDistribution(0, 100)}
    study.add_trial(create_trial(params={"x": 100, "y": 100}, distributions=narrow, values=[1.0, 1.0]))
    proposals = [study.ask({"x": IntDistribution(0, 9), "y": IntDistribution(0, 9)}).params for _ in range(20)]
    assert all(0 <= value <= 9 for params in proposals for value in params.values())


def test_architectures_inherit_the_decisions_of_their_parent() -> None:
    study = study_of(RegularisedEvolution(population_size=6, tournament_size=6, seed=6))
    wide = 0
    for number in range(60):
        trial = study.ask()
        architecture = SPACE.suggest(trial)
        assert SPACE.contains(architecture)
        score = sum(stage.width == 32 for stage in architecture.stages) / len(architecture.stages)
        study.tell(trial, [score, 0.0])
        wide += number >= 40 and score == 1
    assert wide >= 15  # at random about a third would be


def test_search_repeats_from_its_seed_and_continues_after_a_pickle() -> None:
    def search(seed: int, pause: int | None = None) -> list[tuple[Any, ...]]:
        study = study_of(RegularisedEvolution(population_size=4, tournament_size=2, seed=seed))
        proposals = []
        for number in range(20):
            if number == pause:
                study.sampler = pickle.loads(pickle.dumps(study.sampler))
            trial = study.ask(dict(DISTRIBUTIONS))
            proposals.append(tuple(trial.params.values()))
            study.tell(trial, [float(sum(trial.params.values())), 1.0])
        return proposals

    assert search(7) == search(7) == search(7, pause=12)
    assert search(7) != search(8)


@pytest.mark.parametrize(("population", "tournament"), [(0, 0), (5, 6), (5, 0)])
def test_invalid_sizes(population: int, tournament: int) -> None:
    with pytest.raises(ValueError, match=f"found {tournament} of {population}"):
        RegularisedEvolution(population_size=population, tournament_size=tournament)
