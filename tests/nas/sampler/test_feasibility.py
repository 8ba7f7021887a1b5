"""The sampler learns from points that failed for certain: it stays away from them, and comes back if they failed by chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from nas.sampler import ParetoSampler
from nas.sampler.parameter_domain import ParameterDomain
from nas.sampler.study_reader import ObjectiveSource, StudyReader

CHOICES = [1, 2, 3, 4, 6, 8, 12, 16]
BOX = {f"width{i}": CategoricalDistribution(CHOICES) for i in range(5)}  # 32,768 points


def size(params: dict[str, Any]) -> float:
    """The number of parameters."""
    return float(1000 * sum(params[name] ** 2 for name in BOX))


LARGEST_FEASIBLE = 3e5  # of at most 1.28e6: about half of the space fails


def search(trials: int, seed: int, **options: Any) -> list[bool]:
    """Whether each proposal of a search failed, since it was too large; accuracy rises with size."""
    sampler = ParetoSampler(BOX, cheap={1: size}, seed=seed, **options)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    rng = np.random.default_rng(seed)
    failures = []
    for _ in range(trials):
        trial = study.ask(BOX)
        params = size(trial.params)
        failures.append(params > LARGEST_FEASIBLE)
        if failures[-1]:
            trial.set_user_attr("infeasible", "out of memory")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [1 - params**-0.2 + 0.005 * rng.normal(), params])
    return failures


@pytest.mark.parametrize("seed", [0, 1])
def test_the_share_of_failing_proposals_falls(seed: int) -> None:
    learning = search(50, seed, infeasible_attribute="infeasible")
    ignoring = search(50, seed, infeasible_attribute="never")
    assert sum(learning[:3]) > 0
    assert sum(learning[25:]) <= 10
    assert sum(learning) < 0.35 * sum(ignoring)
    assert search(50, seed) == learning  # by default every failure counts


def test_infinite_values_teach_whatever_the_attribute_says_of_failures() -> None:
    sampler = ParetoSampler(BOX, cheap={1: size}, seed=0, infeasible_attribute="infeasible")
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    infinite = []
    for _ in range(40):
        trial = study.ask(BOX)
        params = size(trial.params)
        infinite.append(trial.params[next(iter(BOX))] == 16)
        study.tell(trial, [-math.inf if infinite[-1] else 1 - params**-0.2, params])
    assert sum(infinite[:3]) > 0
    assert sum(infinite[15:]) <= 2


def test_nothing_changes_as_long_as_nothing_fails() -> None:
    def proposals(**options: Any) -> list[Any]:
        sampler = ParetoSampler(BOX, cheap={1: size}, seed=3, **options)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        for number in range(15):
            trial = study.ask(BOX)
            study.tell(trial, [number % 7 / 7, size(trial.params)], state=None)
        return [trial.params for trial in study.trials]

    assert proposals(infeasible_attribute="infeasible") == proposals()


def test_a_search_in_which_everything_fails_goes_on_from_the_smallest_and_elsewhere() -> None:
    sampler = ParetoSampler(BOX, cheap={1: size}, seed=0, infeasible_attribute="infeasible")
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    sizes = []
    for _ in range(8):
        trial = study.ask(BOX)
        sizes.append(size(trial.params))
        trial.set_user_attr("infeasible", "loss not finite")
        study.tell(trial, state=TrialState.FAIL)
    assert sizes[0] == 5000
    assert sizes[1] == 1_280_000
    assert max(sizes[3::2]) < 0.02 * 1_280_000
    assert max(sizes[4::2]) > 0.1 * 1_280_000  # in turn with others: perhaps it is not size that fails


@pytest.mark.parametrize("fails_first", [True, False])
def test_a_point_that_was_trained_is_feasible_whenever_it_failed(fails_first: bool) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    small, large = dict.fromkeys(BOX, 2), dict.fromkeys(BOX, 16)
    trained = optuna.create_trial(params=small, distributions=BOX, values=[0.5, size(small)])
    if not fails_first:
        study.add_trial(trained)
    for params in (small, large):
        attributes = {"infeasible": "out of memory"}
        study.add_trial(
            optuna.create_trial(params=params, distributions=BOX, state=TrialState.FAIL, user_attrs=attributes)
        )
    if fails_first:
        study.add_trial(trained)
    domain = ParameterDomain(BOX)
    sources = [ObjectiveSource(0, -1.0)], [ObjectiveSource(1, 1.0)]
    reader = StudyReader(domain, *sources, budget=None, prior=(), infeasible_attribute="infeasible")
    snapshot = reader.read(study.get_trials(), number=3, plans={})
    assert [domain.to_params(point) for point in snapshot.infeasible] == [large]
    assert len(snapshot.observations) == 1
