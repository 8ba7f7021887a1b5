"""What is trained to judge a proxy: a sample of architectures over the costs of the space, each at several budgets.

The *proxy* is the training that the study's configuration asks for. The *large* budget is a multiple of its epochs with a
learning-rate schedule of its own to the end; the mean of its seeds is what everything else is judged by. The cheaper
budgets have fewer epochs, fewer images or smaller ones. No two trainings share a seed, so that what they have in common
is the architecture alone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import UsageError
from nas.study.trials import costs_of, seed_of, within
from search_space import Architecture, SearchSpace
from search_space.errors import SpaceError
from trainers.config import TrainConfig

DIVISORS = (2, 4)  # of epochs and of images; an eighth of a proxy is hardly a training
POOL = 64  # architectures drawn for each that is taken: enough for its place among them to be its place in the space


@dataclass(frozen=True)
class Budget:
    """How an architecture is trained.

    Args:
        name: "proxy", "large", "epochs/2", "images/2", "pixels/2", ...
        epochs: of a schedule that ends with them.
        images: the images of the train split are divided by this.
        pixels: each side of the images is divided by this.
    """

    name: str
    epochs: int
    images: int = 1
    pixels: int = 1


@dataclass(frozen=True)
class Job:
    """One training, or one look at an untrained network.

    Args:
        id: of the architecture in the study.
        architecture: what is built, as JSON; its images may be smaller than the study's.
        budget: how it is trained; None: it gets its training-free scores.
        number: which of the seeds, from 0.
        seed: of initial weights, order of images, augmentation.
    """

    id: str
    architecture: str
    budget: Budget | None
    number: int
    seed: int

    def key(self, setting: Mapping[str, Any]) -> str:
        """The name of its result: it changes with all that could change the result, `setting` being what all jobs share."""
        content = [self.architecture, _content(self.budget), self.seed, dict(setting)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Plan:
    """All that is to be trained.

    Args:
        architectures: the sample, by rising MACs.
        budgets: the proxy, the large one, then the cheaper ones.
        jobs: the work, the longest first.
        impossible: budget -> why it cannot be had, architecture by architecture.
    """

    architectures: tuple[Architecture, ...]
    budgets: tuple[Budget, ...]
    jobs: tuple[Job, ...]
    impossible: Mapping[str, tuple[str, ...]]


def budgets_of(train: TrainConfig, multiple: float) -> tuple[Budget, ...]:
    """The proxy of `train`, the large budget of `multiple` times its epochs, and the cheaper ones that differ from both.

    Raises:
        UsageError: the multiple is no more epochs than the proxy has.
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


def spread(space: SearchSpace, limits: Mapping[str, float], count: int, seed: int) -> tuple[Architecture, ...]:
    """`count` architectures over the costs of `space`: many random ones in order of MACs, one of each of `count` equal parts.

    A space of few architectures is taken whole. Of the `limits`, those on measured throughput are passed over.

    Raises:
        UsageError: fewer than `count` architectures keep the limits.
    """
    rng = np.random.default_rng([seed, count])
    wanted = POOL * count
    found: dict[str, Architecture] = {}
    candidates = space if space.size <= wanted else (space.sample(rng) for _ in range(4 * wanted))
    for architecture in candidates:
        if within(architecture, limits):
            found[architecture.id] = architecture
        if len(found) == wanted:
            break
    if len(found) < count:
        limited = " within the limits" if limits else ""
        raise UsageError(f"--sample {count}: only {len(found)} architectures{limited} were found in the space")
    ranked = sorted(found.values(), key=lambda a: (costs_of(a).macs, a.id))
    edges = np.linspace(0, len(ranked), count + 1).astype(int)
    return tuple(ranked[int(rng.integers(low, high))] for low, high in itertools.pairwise(edges))


def plan_of(architectures: Sequence[Architecture], budgets: Sequence[Budget], seeds: int, study_seed: int) -> Plan:
    """Every budget and the scores for each of the `architectures` over so many `seeds`."""
    jobs: list[Job] = []
    impossible: dict[str, list[str]] = {}
    for architecture in architectures:
        for budget in (*budgets, None):
            built = architecture
            if budget is not None and budget.pixels > 1:
                try:
                    built = _shrunk(architecture, budget.pixels)
                except SpaceError as error:
                    impossible.setdefault(budget.name, []).append(f"{architecture.id}: {error}")
                    continue
            text = built.to_json()
            for number in range(seeds):
                seed = seed_of(study_seed, f"{architecture.id} {_content(budget)} {number}")
                jobs.append(Job(architecture.id, text, budget, number, seed))
    macs = {architecture.id: costs_of(architecture).macs for architecture in architectures}
    # The longest first: none of them is begun last and waited for alone.
    jobs.sort(key=lambda job: -work(job, macs[job.id]))
    return Plan(tuple(architectures), tuple(budgets), tuple(jobs), {k: tuple(v) for k, v in impossible.items()})


def work(job: Job, macs: int) -> float:
    """About how long `job` takes beside others, `macs` being those of its architecture at the study's image size."""
    fixed = 1e5  # MACs that take as long as what there is to do for each image of any network
    if job.budget is None:
        return macs + fixed
    return 10 * job.budget.epochs / job.budget.images * (macs / job.budget.pixels**2 + fixed)


def _content(budget: Budget | None) -> list[int]:
    """What a budget is, whatever it is called: a proxy of 10 epochs is half of one of 20."""
    return [] if budget is None else [budget.epochs, budget.images, budget.pixels]


def _shrunk(architecture: Architecture, divisor: int) -> Architecture:
    """`architecture` for images of sides divided by `divisor`.

    Raises:
        SpaceError: it does not fit them.
    """
    height, width = architecture.image_size
    return architecture.replace(image_size=(height // divisor, width // divisor))
