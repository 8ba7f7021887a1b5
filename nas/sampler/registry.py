"""The registry of samplers: a sampler is one file of `nas.sampler.factories`, and nothing else has to be edited.

    @register("hill_climbing")
    def create_hill_climbing(context: SamplerContext) -> BaseSampler:
        from my_package import HillClimbing      # heavy imports inside, so that listing the names stays fast

        return HillClimbing(seed=context.seed)

`nas search` and `nas bench search` describe their problem in a `SamplerContext` and call `create`. A sampler uses what it can of
the context: a black-box sampler only the seed, the Pareto sampler all of it.

Imports neither Optuna nor SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nas.errors import UnknownNameError
from nas.sampler.wording import API_WORDING, Wording

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    from search_space import SearchSpace


@dataclass(frozen=True)
class SamplerObjective:
    """What a sampler may know of one objective.

    Args:
        name: the name of the objective.
        direction: "maximize" or "minimize".
        log: ratios matter rather than differences.
        compute: the function that gives the value before training; None if it takes a training. Its argument is the
            architecture where the search space is a `SearchSpace`, else the parameters (name -> value).
        limit: the worst value allowed; None if there is no limit.
        reference: the value at the reference point of the hypervolume, beyond which values do not count; None if it is not given.
        attribute: the user attribute that holds the value of a trial that is not complete; None if there is none.
    """

    name: str
    direction: Literal["maximize", "minimize"]
    log: bool = False
    compute: Callable[[Any], float] | None = None
    limit: float | None = None
    reference: float | None = None
    attribute: str | None = None


@dataclass(frozen=True)
class SamplerContext:
    """All that any sampler may be told of a search.

    Args:
        search_space: the space of architectures, or parameter -> Optuna distribution.
        objectives: in the order of the study's directions, at least one.
        primary: index of the objective that training is for (accuracy).
        features: functions of an architecture (or of the parameters) that give further numbers known before training.
        duration: a function that gives the time that a trial will take, in any unit; None: all take as long.
        feasible: False for a point that must not be proposed; None if all may be.
        budget: epochs of a complete training, the unit of a trial's intermediate values; None if there are no such values.
        prior: parameters and values of the primary objective from an earlier study.
        key_attribute: the user attribute with the id of a trial's architecture; None if there is none.
        infeasible_attribute: the user attribute that a failed trial has if its point would fail again; None if there is none.
        wording: the words in which it warns.
        seed: of all random draws.

    Raises:
        ValueError: an empty search space, no objective, or a primary objective that does not exist or needs no training.
    """

    search_space: SearchSpace | Mapping[str, BaseDistribution]
    objectives: tuple[SamplerObjective, ...]
    primary: int = 0
    features: tuple[Callable[[Any], float], ...] = ()
    duration: Callable[[Any], float] | None = None
    feasible: Callable[[Any], bool] | None = None
    budget: int | None = None
    prior: tuple[tuple[Mapping[str, Any], float], ...] = ()
    key_attribute: str | None = None
    infeasible_attribute: str | None = None
    wording: Wording = API_WORDING
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.search_space, Mapping) and not self.search_space:
            raise ValueError("search_space: must hold at least one distribution, found none")
        if not 0 <= self.primary < len(self.objectives):
            rule = f"must be the index of one of the {len(self.objectives)} objectives"
            raise ValueError(f"primary: {rule}, found {self.primary}")
        if self.objectives[self.primary].compute is not None:
            rule = "must be an objective that takes a training"
            raise ValueError(f"primary: {rule}, found {self.objectives[self.primary].name!r}")

    @property
    def has_fixed_parameters(self) -> bool:
        """True if every trial has the same parameters; those of an architecture depend on one another."""
        return isinstance(self.search_space, Mapping)


Factory = Callable[[SamplerContext], "BaseSampler"]
SomeFactory = TypeVar("SomeFactory", bound=Factory)


@dataclass(frozen=True)
class RegisteredSampler:
    """A sampler as the registry holds it.

    Args:
        name: the name in `sampler.name` and `--samplers`.
        create: makes the sampler for a search.
        learns_from_duplicates: a benchmark tells it the known values of an architecture that it proposes again; other
            samplers are told that the trial failed.
        needs_log_values: a benchmark tells it the logarithms of the objectives on a log scale.
        uses_features: the sampler uses numbers known before training. Only for such a sampler does a study time its operators,
            to predict throughput.
        benchmark_only: a variant that `nas bench search` knows and `nas search` does not.
    """

    name: str
    create: Factory
    learns_from_duplicates: bool = False
    needs_log_values: bool = False
    uses_features: bool = False
    benchmark_only: bool = False


SAMPLERS: dict[str, RegisteredSampler] = {}


def register(
    name: str,
    *,
    learns_from_duplicates: bool = False,
    needs_log_values: bool = False,
    uses_features: bool = False,
    benchmark_only: bool = False,
) -> Callable[[SomeFactory], SomeFactory]:
    """Register the decorated function as the factory of the sampler `name`; see `RegisteredSampler` for the properties.

    Raises:
        ValueError: the name is already registered.
    """

    def add(factory: SomeFactory) -> SomeFactory:
        if name in SAMPLERS:
            raise ValueError(f"sampler {name!r} is already registered")
        SAMPLERS[name] = RegisteredSampler(
            name, factory, learns_from_duplicates, needs_log_values, uses_features, benchmark_only
        )
        return factory

    return add


def names() -> tuple[str, ...]:
    """The names that a study may have in `sampler.name`, in alphabetical order."""
    return tuple(sorted(name for name, sampler in SAMPLERS.items() if not sampler.benchmark_only))


def benchmark_names() -> tuple[str, ...]:
    """The names that `nas bench search` accepts, in alphabetical order: those of studies and variants of them."""
    return tuple(sorted(SAMPLERS))


def find(name: str, place: str = "sampler.name") -> RegisteredSampler:
    """The sampler registered as `name`.

    Raises:
        UnknownNameError: there is none; the error blames `place` and lists the registered names.
    """
    if name not in SAMPLERS:
        raise UnknownNameError(place, "sampler", name, SAMPLERS)
    return SAMPLERS[name]


def create(name: str, context: SamplerContext) -> BaseSampler:
    """A new sampler of the registered `name` for the search that `context` describes.

    Raises:
        UnknownNameError: no sampler has that name.
    """
    return find(name).create(context)
