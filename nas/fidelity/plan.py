"""The plan of a fidelity run: a sample of architectures spread over the costs of the space, each trained at several budgets.

The *proxy* is the training that the study's configuration describes. The *large* budget has a multiple of its epochs, with a
learning-rate schedule over all its epochs; the mean accuracy over its seeds is the reference. The cheaper budgets have fewer
epochs, fewer images or smaller images. No two trainings share a seed, so that only the architecture is the same.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.errors import UsageError
from nas.objectives.costs import costs_of
from nas.study.limits import satisfies_limits
from nas.study.trials import seed_of
from search_space import Architecture, SearchSpace
from search_space.errors import SpaceError
from trainers.training.config import TrainConfig

DIVISORS = (2, 4)  # of epochs and of images; an eighth of a proxy is too short a training
DRAWN_PER_SAMPLE = 64  # architectures; enough to estimate the quantiles of MACs in the space


@dataclass(frozen=True)
class Budget:
    """The effort of a training.

    Args:
        name: "proxy", "large", "epochs/2", "images/2", "pixels/2", ...
        epochs: length of the training and of its learning-rate schedule.
        images: the number of training images is divided by this.
        pixels: each side of the images is divided by this.
    """

    name: str
    epochs: int
    images: int = 1
    pixels: int = 1


@dataclass(frozen=True)
class Job:
    """One training, or the training-free scores of one untrained network.

    Args:
        id: the id of the architecture in the study.
        architecture: the network to build, as JSON; its images may be smaller than those of the study.
        budget: the effort of the training; None for training-free scores.
        number: index of the seed, from 0.
        seed: the seed of the initial weights, the order of images and the augmentation.
    """

    id: str
    architecture: str
    budget: Budget | None
    number: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Job:
        """The inverse of `to_dict`."""
        budget = None if plain["budget"] is None else Budget(**plain["budget"])
        return cls(**{**plain, "budget": budget})

    def key(self, setting: Mapping[str, Any]) -> str:
        """The key of the job's result: a digest of everything that can change it; `setting` is common to all jobs of a run."""
        content = [self.architecture, _content(self.budget), self.seed, dict(setting)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Plan:
    """The jobs of a fidelity run.

    Args:
        architectures: the sample, by rising MACs.
        budgets: the proxy, the large budget, then the cheaper ones.
        jobs: the longest job first.
        impossible: name of a budget -> "ID: REASON" for each architecture that cannot be built for it.
    """

    architectures: tuple[Architecture, ...]
    budgets: tuple[Budget, ...]
    jobs: tuple[Job, ...]
    impossible: Mapping[str, tuple[str, ...]]


def create_budgets(train: TrainConfig, multiple: float) -> tuple[Budget, ...]:
    """Create the proxy of `train`, the large budget of `multiple` times its epochs, and the cheaper budgets; no duplicates.

    Raises:
        UsageError: the large budget has no more epochs than the proxy.
    """
    epochs = train.epochs
    large = round(multiple * epochs)
    if large <= epochs:
        raise UsageError(f"--multiple {multiple:g}: must give more epochs than the proxy's {epochs}, found {large}")
    shorter = [Budget(f"epochs/{d}", epochs // d) for d in DIVISORS if epochs // d >= 1 and epochs > 1]
    distinct = [budget for i, budget in enumerate(shorter) if budget.epochs not in [b.epochs for b in shorter[:i]]]
    fewer = [Budget(f"images/{d}", epochs, images=d) for d in DIVISORS]
    smaller = Budget("pixels/2", epochs, pixels=2)
    return (Budget("proxy", epochs), Budget("large", large), *distinct, *fewer, smaller)


def sample_over_costs(
    space: SearchSpace, limits: Mapping[str, float], count: int, seed: int
) -> tuple[Architecture, ...]:
    """Draw `count` architectures spread over the costs of `space`, by ascending MACs.

    Many random architectures are sorted by MACs and divided into `count` equal parts; one is drawn from each part. A small
    space is enumerated instead. Limits on measured objectives are ignored.

    Raises:
        UsageError: fewer than `count` architectures are within the limits.
    """
    rng = np.random.default_rng([seed, count])
    target = DRAWN_PER_SAMPLE * count
    drawn: dict[str, Architecture] = {}
    candidates = space if space.size <= target else (space.sample(rng) for _ in range(4 * target))
    for architecture in candidates:
        if satisfies_limits(architecture, limits):
            drawn[architecture.id] = architecture
        if len(drawn) == target:
            break
    if len(drawn) < count:
        limited = " within the limits" if limits else ""
        raise UsageError(f"--sample {count}: only {len(drawn)} architectures{limited} were found in the space")
    ranked = sorted(drawn.values(), key=lambda a: (costs_of(a).macs, a.id))
    edges = np.linspace(0, len(ranked), count + 1).astype(int)
    return tuple(ranked[int(rng.integers(low, high))] for low, high in itertools.pairwise(edges))


def create_plan(architectures: Sequence[Architecture], budgets: Sequence[Budget], seeds: int, study_seed: int) -> Plan:
    """Create the plan that trains each architecture at every budget and computes its scores, with `seeds` seeds.

    A budget with smaller images leaves out the architectures that do not fit them.
    """
    jobs: list[Job] = []
    impossible: dict[str, list[str]] = {}
    for architecture in architectures:
        for budget in (*budgets, None):
            adapted = architecture
            if budget is not None and budget.pixels > 1:
                try:
                    adapted = _shrink(architecture, budget.pixels)
                except SpaceError as error:
                    impossible.setdefault(budget.name, []).append(f"{architecture.id}: {error}")
                    continue
            text = adapted.to_json()
            for number in range(seeds):
                seed = seed_of(study_seed, f"{architecture.id} {_content(budget)} {number}")
                jobs.append(Job(architecture.id, text, budget, number, seed))
    macs = {architecture.id: costs_of(architecture).macs for architecture in architectures}
    # The longest job first, so that no long job starts last while the other workers are idle.
    jobs.sort(key=lambda job: -relative_work(job, macs[job.id]))
    return Plan(tuple(architectures), tuple(budgets), tuple(jobs), {k: tuple(v) for k, v in impossible.items()})


def relative_work(job: Job, macs: int) -> float:
    """The duration of `job` relative to other jobs; `macs` are those of its architecture at the study's image size."""
    fixed = 1e5  # the time per image that does not depend on the network, as MACs
    if job.budget is None:
        return macs + fixed
    return 10 * job.budget.epochs / job.budget.images * (macs / job.budget.pixels**2 + fixed)


def _content(budget: Budget | None) -> list[int]:
    """The numbers of a budget, without its name: a proxy of 10 epochs equals half a proxy of 20."""
    return [] if budget is None else [budget.epochs, budget.images, budget.pixels]


def _shrink(architecture: Architecture, divisor: int) -> Architecture:
    """Adapt `architecture` to images whose sides are divided by `divisor`.

    Raises:
        SpaceError: it does not fit such images.
    """
    height, width = architecture.image_size
    return architecture.replace(image_size=(height // divisor, width // divisor))
