"""The contract of every registered sampler, and the registry itself."""

from __future__ import annotations

import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from nas.driver.ask_tell import AskTell
from nas.driver.proposal import Proposal
from nas.errors import UnknownNameError
from nas.objectives import get
from nas.sampler import ParetoSampler, factories
from nas.sampler.evolution import RegularisedEvolution
from nas.sampler.optuna_adapter import contains
from nas.sampler.registry import (
    SAMPLERS,
    SamplerContext,
    SamplerObjective,
    benchmark_names,
    create,
    find,
    names,
    register,
)
from nas.sampler.tpe import TPESampler
from nas.study.config import StudyConfig
from nas.study.database.optuna_adapter import set_intermediate_value
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed
from nas.study.study_sampler import create_sampler
from search_space import Architecture, SearchSpace, cost

ARCHITECTURES: dict[str, Any] = {
    "image_size": 8,
    "in_chans": 1,
    "stem": {"patch": [2, 4]},
    "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}],
}
SPACE = SearchSpace.from_dict(ARCHITECTURES)
BOX = {
    "kernel": CategoricalDistribution([3, 5, 7]),
    "op": CategoricalDistribution(["conv", "pool"]),
    "depth": IntDistribution(1, 4),
}
CLASSES = {
    "evolution": RegularisedEvolution,
    "gp": optuna.samplers.GPSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga2_50": optuna.samplers.NSGAIISampler,
    "pareto": ParetoSampler,
    "pareto_16": ParetoSampler,
    "pareto_4": ParetoSampler,
    "random": optuna.samplers.RandomSampler,
    "tpe": TPESampler,
}
TRIALS = {"gp": 12}  # the first ten complete trials of gp are random, so the last trial is the first that it models
Params = dict[str, Any]


def macs_of(point: Architecture | Params) -> float:
    if isinstance(point, Architecture):
        return float(cost(point).macs)
    return float(point["kernel"] ** 2 * point["depth"] if point["op"] == "conv" else point["depth"])


def context(fixed: bool, objectives: int, seed: int) -> SamplerContext:
    """A search for accuracy alone, with MACs (known before training), and with throughput (measured)."""
    known = (
        SamplerObjective("accuracy", "maximize"),
        SamplerObjective("macs", "minimize", log=True, compute=macs_of),
        SamplerObjective("images_per_s", "maximize", log=True, attribute="images_per_s"),
    )
    return SamplerContext(BOX if fixed else SPACE, known[:objectives], seed=seed)


def study_of(name: str, search: SamplerContext) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        directions=[objective.direction for objective in search.objectives], sampler=create(name, search)
    )


def proposals(name: str, search: SamplerContext, pickled_at: int | None = None) -> list[Params]:
    """The parameters of the trials of a study, of which every seventh fails."""
    study = study_of(name, search)
    with threadpool_limits(limits=1):  # the models are small
        for number in range(TRIALS.get(name, 24)):
            if number == pickled_at:
                study.sampler = pickle.loads(pickle.dumps(study.sampler))
            trial = study.ask(BOX) if search.has_fixed_parameters else study.ask()
            macs = macs_of(trial.params if search.has_fixed_parameters else SPACE.suggest(trial))
            if number % 7 == 6:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, [macs % 97 / 97, macs, 1e6 / macs][: len(search.objectives)])
    return [trial.params for trial in study.get_trials()]


def is_point(params: Params, fixed: bool) -> bool:
    if not fixed:
        return SPACE.contains(SPACE.decode(params))
    return set(params) == set(BOX) and all(contains(BOX[parameter], value) for parameter, value in params.items())


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("fixed", [True, False], ids=["box", "architectures"])
@pytest.mark.parametrize("name", benchmark_names())
def test_sampler_proposes_points_of_the_space(name: str, fixed: bool, objectives: int) -> None:
    proposed = proposals(name, context(fixed, objectives, seed=3))
    assert all(is_point(params, fixed) for params in proposed)
    assert len({tuple(params.items()) for params in proposed}) > 5


@pytest.mark.parametrize("fixed", [True, False], ids=["box", "architectures"])
@pytest.mark.parametrize("name", benchmark_names())
def test_sampler_repeats_from_its_seed_and_continues_after_a_pickle(name: str, fixed: bool) -> None:
    first = proposals(name, context(fixed, 2, seed=3))
    assert first == proposals(name, context(fixed, 2, seed=3))
    assert first != proposals(name, context(fixed, 2, seed=4))
    middle = len(first) // 2
    continued = proposals(name, context(fixed, 2, seed=3), pickled_at=middle)
    assert continued[:middle] == first[:middle]
    assert len(continued) == len(first)
    assert all(is_point(params, fixed) for params in continued)


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("fixed", [True, False], ids=["box", "architectures"])
@pytest.mark.parametrize("name", benchmark_names())
def test_sampler_goes_on_after_trials_that_were_stopped_at_a_rung(name: str, fixed: bool, objectives: int) -> None:
    search = context(fixed, objectives, seed=3)
    study = study_of(name, search)
    for number in range(24):
        trial = study.ask(BOX) if fixed else study.ask()
        macs = macs_of(trial.params if fixed else SPACE.suggest(trial))
        if number % 3 == 2:
            set_intermediate_value(study, trial, 1, 0.5)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [macs % 97 / 97, macs, 1e6 / macs][:objectives])
    assert all(is_point(trial.params, fixed) for trial in study.get_trials())
    assert [trial.intermediate_values for trial in study.get_trials()] == 8 * [{}, {}, {1: 0.5}]


def test_each_name_has_its_class() -> None:
    for fixed in (True, False):
        assert {name: type(create(name, context(fixed, 2, 0))) for name in benchmark_names()} == CLASSES


def test_properties() -> None:
    assert {name for name in SAMPLERS if find(name).learns_from_duplicates} == {"nsga2", "nsga2_50"}
    assert {name for name in SAMPLERS if find(name).needs_log_values} == {"gp"}
    assert {name for name in SAMPLERS if find(name).uses_features} == {"pareto", "pareto_4", "pareto_16"}
    assert set(benchmark_names()) - set(names()) == {"nsga2_50", "pareto_4", "pareto_16"}


def test_pareto_sampler_gets_all_of_the_context() -> None:
    throughput = SamplerObjective("images_per_s", "maximize", True, limit=10.0, attribute="images_per_s")
    macs = SamplerObjective("macs", "minimize", True, compute=macs_of, limit=1e6)
    search = SamplerContext(
        SPACE,
        (throughput, macs, SamplerObjective("accuracy", "maximize")),
        primary=2,
        features=(macs_of,),
        duration=macs_of,
        feasible=SPACE.contains,
        budget=9,
        prior=(({}, 0.5),),
        key_attribute="id",
        infeasible_attribute="infeasible",
        seed=1,
    )
    sampler = create("pareto", search)
    assert isinstance(sampler, ParetoSampler)
    assert (sampler.cheap, sampler.primary, sampler.features) == ({1: macs_of}, 2, (macs_of,))
    assert sampler.duration is macs_of
    assert (sampler.limits, sampler.attributes) == ({0: 10.0, 1: 1e6}, {0: "images_per_s"})
    assert (sampler.budget, sampler.prior, sampler.feasible) == (9, (({}, 0.5),), SPACE.contains)
    assert (sampler.key_attribute, sampler.infeasible_attribute) == ("id", "infeasible")


def test_unknown_name_lists_the_registered_ones_and_the_closest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        create("evolutoin", context(True, 1, 0))
    assert str(caught.value) == (
        "sampler.name: no such sampler (known: evolution, gp, nsga2, nsga2_50, pareto, pareto_16, pareto_4, random, tpe), "
        "found 'evolutoin'; did you mean evolution?"
    )


def test_study_refuses_samplers_for_benchmarks_only() -> None:
    with pytest.raises(ValueError, match=r"no such sampler \(known: evolution, gp, nsga2, pareto, random, tpe\)"):
        StudyConfig(space=ARCHITECTURES, sampler={"name": "nsga2_50"})


def test_duplicate_name_is_refused() -> None:
    with pytest.raises(ValueError, match="sampler 'tpe' is already registered"):
        register("tpe")(lambda search: optuna.samplers.RandomSampler(seed=search.seed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_space": {}}, "search_space: must hold at least one distribution, found none"),
        ({"objectives": ()}, "primary: must be the index of one of the 0 objectives, found 0"),
        ({"primary": 2}, "primary: must be the index of one of the 2 objectives, found 2"),
        ({"primary": 1}, "primary: must be an objective that takes a training, found 'macs'"),
    ],
)
def test_context_that_describes_no_search_is_refused(changes: dict[str, Any], message: str) -> None:
    search = context(True, 2, 0)
    values = {"search_space": search.search_space, "objectives": search.objectives, **changes}
    with pytest.raises(ValueError, match=message):
        SamplerContext(**values)


def test_every_file_of_the_package_registers_the_sampler_of_its_name() -> None:
    assert {module.name for module in pkgutil.iter_modules(factories.__path__)} == set(names())


def test_names_need_no_heavy_import_and_a_sampler_no_part_of_scipy_before_its_first_model() -> None:
    code = """
import sys, nas.sampler
nas.sampler.names()
print({'scipy', 'optuna', 'torch', 'moocore'} & set(sys.modules))
nas.sampler.ParetoSampler()
print({'scipy.linalg', 'scipy.optimize', 'scipy.special', 'scipy.stats'} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\nset()\n"


@pytest.fixture
def synthetic_sampler() -> Iterator[str]:
    """A sampler that is registered by nothing but its factory: random draws from another seed."""
    name = "synthetic"

    @register(name)
    def create_synthetic(search: SamplerContext) -> optuna.samplers.BaseSampler:
        return optuna.samplers.RandomSampler(seed=search.seed + 1)

    yield name
    del SAMPLERS[name]


def test_new_sampler_runs_in_a_study(synthetic_sampler: str, tmp_path: Path) -> None:
    objectives = [get("accuracy"), get("macs")]
    config = StudyConfig(
        space=ARCHITECTURES, objectives=("accuracy", "macs"), sampler={"name": synthetic_sampler}, seed=5
    )
    study = optuna.create_study(
        directions=[objective.direction for objective in objectives], sampler=create_sampler(config, SPACE)
    )
    ask_tell = AskTell(study, SPACE, objectives, target=8, folder_of=lambda number: tmp_path, seed=config.seed)
    while isinstance(proposal := ask_tell.propose(), Proposal):
        trained = Trained({"accuracy": 0.5}, curve=[], train_s=1.0, wall_s=2.0, overhead_s=0.1)
        ask_tell.record(proposal.number, Completed(proposal.seed, Measured({}), trained))
    ids_trained = [trial.user_attrs["id"] for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    expected = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=6))
    ids = list(dict.fromkeys(SPACE.suggest(expected.ask()).id for _ in range(40)))
    assert ids_trained == ids[:8]
