"""The samplers to compare with: what each is, and that it serves an architecture's decisions without a warning."""

from __future__ import annotations

import optuna
import pytest

from nas.sampler.baselines import BASELINES, baseline
from nas.sampler.evolution import RegularisedEvolution
from search_space import SearchSpace, cost
from search_space.errors import UnknownNameError

SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "stem": {"patch": [2, 4]},
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}],
    }
)
KINDS = {
    "tpe": optuna.samplers.TPESampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
    "evolution": RegularisedEvolution,
}


def proposed(name: str, seed: int, trials: int) -> list[str]:
    """The ids of what a search proposes, of which every seventh fails."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=baseline(name, seed))
    found = []
    for number in range(trials):
        trial = study.ask()
        architecture = SPACE.suggest(trial)
        macs = cost(architecture).macs
        if number % 7 == 6:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, [macs % 97 / 97, float(macs)])
        found.append(architecture.id)
    return found


def test_every_name_gives_its_sampler() -> None:
    assert {name: type(baseline(name, 0)) for name in BASELINES} == KINDS


@pytest.mark.parametrize("name", BASELINES)
def test_serves_architectures_and_repeats_from_its_seed(name: str) -> None:
    trials = 14 if name == "gp" else 30  # of gp the first ten complete ones are random
    first = proposed(name, 3, trials)
    assert first == proposed(name, 3, trials)
    assert first != proposed(name, 4, trials)


def test_unknown_name_lists_the_known_and_asks_after_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        baseline("evolutoin", 0)
    assert str(caught.value) == (
        "sampler.name: no such sampler (known: evolution, gp, nsga2, random, tpe); did you mean evolution?, found 'evolutoin'"
    )
