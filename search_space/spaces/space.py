"""A search space: choices per stage, correct by construction.

Every architecture of the space is reached by one sequence of decisions (how many stages, layout, patch, then for each
stage its width, mixer, options, ...). `SearchSpace.walk` makes them in order and offers at each only the values from
which a valid architecture can still be completed, so nothing is sampled and then thrown away. All else is a way of
walking: sampling, enumerating, encoding, neighbours, an Optuna trial; `size` counts the leaves exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import yaml
from pydantic import Field, Strict, model_validator

from search_space import yaml_text
from search_space.architecture import Architecture, ImageSize, Stage
from search_space.errors import ArchitectureError, SpaceError
from search_space.macro import Head, Positive, Stem
from search_space.spaces.choices import Choices, HeadChoices, StemChoices
from search_space.spaces.counting import Counter
from search_space.spaces.decisions import (
    Choose,
    Decision,
    Label,
    decisions_of,
    label,
    nearest_to,
    walk_entry,
    walk_fields,
    walk_stage,
)
from search_space.spaces.emptiness import why_empty
from search_space.spaces.stage_choices import StageChoices
from search_space.value import Value

Layout = Literal["isotropic", "pyramid"]
Rng = np.random.Generator | random.Random


class Trial(Protocol):
    """What is needed of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""


class SearchSpace(Value):
    """The architectures that may be found.

    Args:
        stages: the choices of each stage, as many as the deepest architecture has stages.
        num_stages: how many of the stages are used, counted from the first; all of them by default.
        layout: "pyramid": stages have widths of their own, and each after the first halves the map, or those that their
            `downsample` says, one at least; "isotropic": all stages have the map of the first, and its width.
        stem, head: their choices.
        image_size, in_chans, num_classes: as in `Architecture`.

    Raises:
        SpaceError: a choice that can never be, or `EmptySpaceError`: nothing fits together.
    """

    stages: Annotated[tuple[StageChoices, ...], Strict(False), Field(min_length=1)]
    num_stages: Annotated[tuple[Positive, ...], *Choices] | None = None
    layout: Annotated[tuple[Layout, ...], *Choices] = ("pyramid",)
    stem: StemChoices = StemChoices()
    head: HeadChoices = HeadChoices()
    image_size: ImageSize = (32, 32)
    in_chans: Positive = 3
    num_classes: Positive = 10

    @model_validator(mode="after")
    def _not_empty(self) -> SearchSpace:
        if self.num_stages is not None and max(self.num_stages) > len(self.stages):
            raise ArchitectureError(
                "num_stages", f"must not exceed the {len(self.stages)} stages", max(self.num_stages)
            )
        if self.size == 0:
            raise why_empty(self)
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
            raise ArchitectureError("", f"not YAML: {error}") from None
        return cls.from_dict(data["space"] if isinstance(data, dict) and "space" in data else data)

    @classmethod
    def from_file(cls, path: str | Path) -> SearchSpace:
        """The space in the YAML file `path`, as `from_yaml` reads it; errors name the file."""
        text = Path(path).read_text(encoding="utf-8")
        try:
            return cls.from_yaml(text)
        except SpaceError as error:
            raise error.in_file(path) from None

    def to_dict(self) -> dict[str, Any]:
        """The space as plain JSON values."""
        return self.model_dump(mode="json")

    @cached_property
    def counter(self) -> Counter:
        """What fits where in this space, and how much of it; memoised."""
        return Counter(self.stages, self.image_size)

    @property
    def stage_counts(self) -> tuple[int, ...]:
        """The numbers of stages to choose from."""
        return (len(self.stages),) if self.num_stages is None else self.num_stages

    @cached_property
    def size(self) -> int:
        """The exact number of architectures in the space."""
        return len(self.head.norm) * sum(
            self.counter.networks(n, layout, stem.patch, stem.ratio)
            for n in self.stage_counts
            for layout in self.layouts(n)
            for stem in self.stems
        )

    @cached_property
    def stems(self) -> tuple[Stem, ...]:
        """The distinct stems of the space."""
        try:
            return self.stem.variants()
        except SpaceError as error:
            raise error.at("stem") from None

    def layouts(self, n: int) -> tuple[str, ...]:
        """The layouts to choose from for `n` stages."""
        return self.layout if n > 1 else ("pyramid",)  # one stage alone is the same in either layout

    def walk(self, choose: Choose) -> Architecture:
        """Make all decisions, each by `choose`, and return the architecture; a decision has at least two values."""
        counter = self.counter

        def decide(place: str, values: Sequence[Any], declared: Sequence[Any]) -> Any:
            if len(values) == 1:
                return values[0]
            return choose(Decision(place, tuple(values), tuple(declared)))

        def open_values(values: Sequence[Any], count: Callable[[Any], int]) -> list[Any]:
            return [value for value in values if count(value)]

        def networks(n: int, layout: str) -> int:
            return sum(counter.networks(n, layout, stem.patch, stem.ratio) for stem in self.stems)

        of_n = lambda n: sum(networks(n, layout) for layout in self.layouts(n))  # noqa: E731
        n = decide("num_stages", open_values(self.stage_counts, of_n), self.stage_counts)
        layout = decide("layout", open_values(self.layouts(n), partial(networks, n)), self.layouts(n))
        stems = [stem for stem in self.stems if counter.networks(n, layout, stem.patch, stem.ratio)]
        stem = walk_fields(decide, "stem", stems, {field: getattr(self.stem, field) for field in Stem.model_fields})
        stages: list[Stage] = []
        entries, flat = counter.first(layout, stem.patch, stem.ratio), True
        for index in range(n):
            left = [entry for entry in entries if counter.completions(n, layout, index, entry, flat)]
            entry = walk_entry(decide, f"stages.{index}", left, self.stages[index])
            stages.append(walk_stage(decide, index, entry, counter))
            flat = flat and entry.stride == 1
            entries = counter.next(layout, index + 1, entry.width, entry.size) if index + 1 < n else ()
        return Architecture(
            stages=tuple(stages),
            stem=stem,
            head=Head(norm=decide("head.norm", self.head.norm, self.head.norm), kind=self.head.kind),
            image_size=self.image_size,
            in_chans=self.in_chans,
            num_classes=self.num_classes,
        )

    def sample(self, rng: Rng) -> Architecture:
        """A random architecture: each decision uniform among the values that can be completed."""
        return self.walk(lambda decision: decision.values[_below(len(decision.values), rng)])

    def __iter__(self) -> Iterator[Architecture]:  # type: ignore[override]
        """All architectures of the space, each once."""
        path: list[tuple[int, int]] = []  # (index taken, number of values) of each decision
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
            SpaceError: the architecture is not in the space; the error names the decision it departs at.
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
        """True if `architecture` is a point of the space."""
        try:
            self._trace(architecture)
        except SpaceError:
            return False
        return True

    def _trace(self, architecture: Architecture) -> list[tuple[Decision, Any]]:
        wanted = decisions_of(architecture)
        trace: list[tuple[Decision, Any]] = []

        def choose(decision: Decision) -> Any:
            value = wanted.get(decision.place)
            if value not in decision.values:
                raise SpaceError(decision.place, f"must be one of {list(decision.labels)}", value)
            trace.append((decision, value))
            return value

        if self.walk(choose) != architecture:
            raise SpaceError("", "the architecture differs from this space in what the space leaves no choice of")
        return trace

    def nearest(self, architecture: Architecture) -> Architecture:
        """The architecture of the space that takes each decision as `architecture` does, or as nearly as it can."""
        return self.walk(nearest_to(decisions_of(architecture)))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """The architectures one decision away, each once; what the changed decision leaves open goes to the nearest value.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        wanted = decisions_of(architecture)
        found: dict[str, Architecture] = {}
        for decision, value in self._trace(architecture):
            for other in decision.values:
                if other != value:
                    neighbour = self.walk(nearest_to({**wanted, decision.place: other}))
                    found[neighbour.id] = neighbour
        found.pop(architecture.id, None)
        return list(found.values())

    def suggest(self, trial: Trial) -> Architecture:
        """The architecture that an Optuna `trial` suggests, define-by-run: only the decisions that arise are asked for."""

        def choose(decision: Decision) -> Any:
            chosen = trial.suggest_categorical(decision.name, list(decision.labels))
            return decision.values[decision.labels.index(chosen)]

        return self.walk(choose)


def _below(bound: int, rng: Rng) -> int:
    return int(rng.integers(bound)) if isinstance(rng, np.random.Generator) else rng.randrange(bound)
