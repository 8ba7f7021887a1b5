"""A search space: choices per stage, correct by construction.

Every architecture of the space is reached by exactly one sequence of decisions (number of stages, layout, patch, then for
each stage its width, mixer, options, ...). `SearchSpace.walk` makes them in order and offers at each only the values from which
a valid architecture can still be completed, so no sample is ever rejected. Sampling, enumerating, encoding, neighbours and an
Optuna trial are ways of walking; `size` counts the leaves exactly.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import yaml
from pydantic import Field, Strict, model_validator

from search_space import yaml_text
from search_space.architecture import Architecture, ImageSize
from search_space.errors import ArchitectureError, SpaceError
from search_space.field_types import MAX_STAGES, Positive
from search_space.head import HeadSpec
from search_space.spaces.choices import Choices, HeadChoices, StemChoices
from search_space.spaces.counting import ArchitectureCounter
from search_space.spaces.decisions import (
    Choose,
    Decision,
    Label,
    decisions_of,
    label,
    nearest_to,
    walk_fields,
    walk_stages,
)
from search_space.spaces.emptiness import explain_empty
from search_space.spaces.stage_choices import StageChoices
from search_space.stem import StemSpec
from search_space.value import Value

Layout = Literal["isotropic", "pyramid"]
Rng = np.random.Generator | random.Random


class Trial(Protocol):
    """The part of an Optuna trial that is used."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of `choices`."""


class SpaceChoices(Value):
    """The choices of a space, for images of any size.

    Args:
        stages: the choices of each stage, for as many stages as an architecture has at most.
        num_stages: numbers of stages, counted from the first; by default all stages.
        layout: "pyramid": each stage has its own width, and each after the first halves the map, or those whose `downsample`
            says so, at least one; "isotropic": all stages have the map and the width of the first.
        stem, head: their choices.
    """

    stages: Annotated[tuple[StageChoices, ...], Strict(False), Field(min_length=1, max_length=MAX_STAGES)]
    num_stages: Annotated[tuple[Positive, ...], *Choices] | None = None
    layout: Annotated[tuple[Layout, ...], *Choices] = ("pyramid",)
    stem: StemChoices = StemChoices()
    head: HeadChoices = HeadChoices()

    @model_validator(mode="after")
    def _check_num_stages(self) -> Self:
        if self.num_stages is not None and max(self.num_stages) > len(self.stages):
            raise ArchitectureError(
                "num_stages", f"must not exceed the {len(self.stages)} stages", max(self.num_stages)
            )
        return self


class SearchSpace(SpaceChoices):
    """A set of architectures, described by choices.

    Args:
        stages, num_stages, layout, stem, head: as in `SpaceChoices`.
        image_size, in_chans, num_classes: as in `Architecture`.

    Raises:
        SpaceError: an invalid choice; `EmptySpaceError`: no combination of the choices is valid.
    """

    image_size: ImageSize = (32, 32)
    in_chans: Positive = 3
    num_classes: Positive = 10

    @model_validator(mode="after")
    def _check_not_empty(self) -> SearchSpace:
        if self.size == 0:
            n = min(self.stage_counts)
            raise explain_empty(self.counter, self.stem, self.stems, n, self.layouts(n)[0])
        return self

    @classmethod
    def from_dict(cls, data: object) -> SearchSpace:
        """The space that `data` describes; the inverse of `to_dict`."""
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise ArchitectureError("", "a search space must be a mapping", data)
        return cls(**data)

    @classmethod
    def from_yaml(cls, text: str) -> SearchSpace:
        """The space that the YAML `text` describes: a space by itself, or a study, whose `space` is read."""
        try:
            data = yaml_text.load(text)
        except yaml.YAMLError as error:
            raise ArchitectureError("", yaml_text.describe_error(error)) from None
        return cls.from_dict(data["space"] if isinstance(data, dict) and "space" in data else data)

    @classmethod
    def from_file(cls, path: str | Path) -> SearchSpace:
        """The space in the YAML file `path`, as `from_yaml` reads it; errors name the file."""
        text = yaml_text.read(path)
        try:
            return cls.from_yaml(text)
        except SpaceError as error:
            raise error.in_file(path) from None

    def to_dict(self) -> dict[str, Any]:
        """The space as plain JSON values."""
        return self.model_dump(mode="json")

    @cached_property
    def counter(self) -> ArchitectureCounter:
        """Which choices fit in this space, and how many architectures they make; cached."""
        return ArchitectureCounter(self.stages, self.image_size)

    @property
    def stage_counts(self) -> tuple[int, ...]:
        """The numbers of stages to choose from."""
        return (len(self.stages),) if self.num_stages is None else self.num_stages

    @cached_property
    def size(self) -> int:
        """The exact number of architectures in the space."""
        return len(self.head.norm) * sum(
            self._count(n, layout) for n in self.stage_counts for layout in self.layouts(n)
        )

    def _count(self, n: int, layout: str) -> int:
        """The number of architectures of `n` stages in `layout`, without the choices of the head."""
        return sum(self.counter.architectures(n, layout, stem.patch, stem.ratio) for stem in self.stems)

    @cached_property
    def stems(self) -> tuple[StemSpec, ...]:
        """The distinct stems of the space."""
        try:
            return self.stem.variants()
        except SpaceError as error:
            raise error.at("stem") from None

    def layouts(self, n: int) -> tuple[str, ...]:
        """The layouts to choose from for `n` stages."""
        return self.layout if n > 1 else ("pyramid",)  # one stage alone is the same in either layout

    def walk(self, choose: Choose) -> Architecture:
        """Make all decisions and return the architecture; `choose` is called where there are two or more open values."""

        def decide(place: str, values: Sequence[Any], declared: Sequence[Any]) -> Any:
            if len(values) == 1:
                return values[0]
            return choose(Decision(place, tuple(values), tuple(declared)))

        open_counts = [n for n in self.stage_counts if any(self._count(n, layout) for layout in self.layouts(n))]
        n = decide("num_stages", open_counts, self.stage_counts)
        open_layouts = [layout for layout in self.layouts(n) if self._count(n, layout)]
        layout = decide("layout", open_layouts, self.layouts(n))
        stems = [stem for stem in self.stems if self.counter.architectures(n, layout, stem.patch, stem.ratio)]
        stem = walk_fields(decide, "stem", stems, {field: getattr(self.stem, field) for field in StemSpec.model_fields})
        stages = walk_stages(decide, n, layout, stem, self.counter)
        return Architecture(
            stages=stages,
            stem=stem,
            head=HeadSpec(norm=decide("head.norm", self.head.norm, self.head.norm), kind=self.head.kind),
            image_size=self.image_size,
            in_chans=self.in_chans,
            num_classes=self.num_classes,
        )

    def sample(self, rng: Rng) -> Architecture:
        """A random architecture: each decision is uniform over its open values."""
        return self.walk(lambda decision: decision.values[_below(len(decision.values), rng)])

    def __iter__(self) -> Iterator[Architecture]:  # type: ignore[override]
        """All architectures of the space, each once."""
        path: list[tuple[int, int]] = []  # (index chosen, number of values) of each decision
        while True:
            depth = 0

            def choose(decision: Decision) -> Any:
                nonlocal depth
                if depth == len(path):
                    path.append((0, len(decision.values)))
                depth += 1
                return decision.values[path[depth - 1][0]]

            yield self.walk(choose)
            while path and path[-1][0] + 1 == path[-1][1]:
                path.pop()
            if not path:
                return
            path[-1] = (path[-1][0] + 1, path[-1][1])

    def encode(self, architecture: Architecture) -> dict[str, Label]:
        """The decisions that lead to `architecture`, name -> label, as an Optuna trial stores them.

        Raises:
            SpaceError: the architecture is not in the space; the error names the first decision that differs.
        """
        return {decision.name: label(value) for decision, value in self._trace(architecture)}

    def decode(self, encoded: Mapping[str, Label]) -> Architecture:
        """The architecture of `encoded` decisions, the inverse of `encode`."""

        def choose(decision: Decision) -> Any:
            if decision.name not in encoded:
                raise SpaceError(decision.name, "this decision is missing")
            if encoded[decision.name] not in decision.labels:
                raise SpaceError(decision.name, f"must be one of {list(decision.labels)}", encoded[decision.name])
            return decision.values[decision.labels.index(encoded[decision.name])]

        return self.walk(choose)

    def contains(self, architecture: Architecture) -> bool:
        """True if `architecture` is in the space."""
        try:
            self._trace(architecture)
        except SpaceError:
            return False
        return True

    def _trace(self, architecture: Architecture) -> list[tuple[Decision, Any]]:
        """The decisions that lead to `architecture`, each with the value chosen."""
        targets = decisions_of(architecture)
        trace: list[tuple[Decision, Any]] = []

        def choose(decision: Decision) -> Any:
            value = targets.get(decision.place)
            if value not in decision.values:
                raise SpaceError(decision.place, f"must be one of {list(decision.labels)}", value)
            trace.append((decision, value))
            return value

        if self.walk(choose) != architecture:
            raise SpaceError("", "the architecture differs from this space in a field that the space fixes")
        return trace

    def nearest(self, architecture: Architecture) -> Architecture:
        """The architecture of the space that makes each decision as `architecture` does, or chooses the nearest open value."""
        return self.walk(nearest_to(decisions_of(architecture)))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """The architectures one decision away, each once; decisions that follow choose the nearest open value.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        targets = decisions_of(architecture)
        neighbours: dict[str, Architecture] = {}
        for decision, value in self._trace(architecture):
            for other in decision.values:
                if other != value:
                    neighbour = self.walk(nearest_to({**targets, decision.place: other}))
                    neighbours[neighbour.id] = neighbour
        neighbours.pop(architecture.id, None)
        return list(neighbours.values())

    def suggest(self, trial: Trial) -> Architecture:
        """The architecture that an Optuna `trial` suggests, define-by-run: only the decisions that arise are suggested."""

        def choose(decision: Decision) -> Any:
            chosen = trial.suggest_categorical(decision.name, list(decision.labels))
            return decision.values[decision.labels.index(chosen)]

        return self.walk(choose)


def _below(bound: int, rng: Rng) -> int:
    return int(rng.integers(bound)) if isinstance(rng, np.random.Generator) else rng.randrange(bound)
