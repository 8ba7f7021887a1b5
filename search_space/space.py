"""A search space: choices per stage, correct by construction.

Every architecture of the space is reached by one sequence of decisions (how many stages, layout, patch, then for each
stage its width, mixer, options, ...). `SearchSpace.walk` makes them in order and offers at each only the values from
which a valid architecture can still be completed, so nothing is sampled and then thrown away. All else is a way of
walking: sampling, enumerating, encoding, neighbours, an Optuna trial; `size` counts the leaves exactly.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import yaml
from pydantic import Field, Strict, model_validator

from search_space import yaml_text
from search_space.architecture import Architecture, ImageSize, Stage
from search_space.choices import Choices, HeadChoices, StageChoices, StemChoices, option_values
from search_space.costs import Size
from search_space.counting import Counter
from search_space.errors import ArchitectureError, EmptySpaceError, SpaceError
from search_space.macro import Head, Positive, Stem
from search_space.value import Value

Layout = Literal["isotropic", "pyramid"]
Label = str | int | float | bool | None  # a value as Optuna stores it
Rng = np.random.Generator | random.Random


@dataclass(frozen=True)
class Decision:
    """One decision on the way to an architecture.

    Args:
        place: what is decided, such as `stages.0.mixer`; the same in every walk.
        values: the values that can still be completed, at least two.
        declared: the choices that the space declares, of which these may be some.
    """

    place: str
    values: tuple[Any, ...]
    declared: tuple[Any, ...]

    @property
    def name(self) -> str:
        """`place`, and where the declared choices are not all open, which are: so one name has one set of values."""
        return named(self.place, self.values, self.declared)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The values as Optuna stores them."""
        return tuple(label(value) for value in self.values)


Choose = Callable[[Decision], Any]
Decide = Callable[[str, Sequence[Any], Sequence[Any]], Any]  # (place, open values, declared values)


class Trial(Protocol):
    """What is needed of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""


class SearchSpace(Value):
    """The architectures that may be found.

    Args:
        stages: the choices of each stage, as many as the deepest architecture has stages.
        num_stages: how many of the stages are used, counted from the first; all of them by default.
        layout: "pyramid": each stage after the first halves the map and has a width of its own;
            "isotropic": all stages have the map of the first, and its width.
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
            raise self._why_empty()
        return self

    @classmethod
    def from_dict(cls, data: object) -> SearchSpace:
        """The space that `data` describes; the inverse of `to_dict`."""
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise ArchitectureError("", "a search space must be a mapping", data)
        return cls(**data)

    @classmethod
    def from_yaml(cls, path: str | Path) -> SearchSpace:
        """The space in a YAML file: the `space` of a study, or a file that holds nothing but a space."""
        try:
            data = yaml_text.load(Path(path).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ArchitectureError(str(path), f"not YAML: {error}") from None
        try:
            return cls.from_dict(data["space"] if isinstance(data, dict) and "space" in data else data)
        except SpaceError as error:
            raise error.at(f"{path}: ") from None

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
            self.counter.networks(n, layout, stem.patch)
            for n in self.stage_counts
            for layout in self._layouts(n)
            for stem in self.stems
        )

    @cached_property
    def stems(self) -> tuple[Stem, ...]:
        """The distinct stems of the space."""
        try:
            return self.stem.variants()
        except SpaceError as error:
            raise error.at("stem") from None

    def _layouts(self, n: int) -> tuple[str, ...]:
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
            return sum(counter.networks(n, layout, stem.patch) for stem in self.stems)

        of_n = lambda n: sum(networks(n, layout) for layout in self._layouts(n))  # noqa: E731
        n = decide("num_stages", open_values(self.stage_counts, of_n), self.stage_counts)
        layout = decide("layout", open_values(self._layouts(n), partial(networks, n)), self._layouts(n))
        stems = [stem for stem in self.stems if counter.networks(n, layout, stem.patch)]
        stem = _walk_fields(decide, "stem", stems, {field: getattr(self.stem, field) for field in Stem.model_fields})
        sizes = counter.sizes(n, layout, stem.patch)
        stages: list[Stage] = []
        for index, (choices, size) in enumerate(zip(self.stages[:n], sizes, strict=True)):
            width = None if index == 0 or layout == "pyramid" else stages[0].width
            if width is None:
                tied = n if layout == "isotropic" else 1
                widths = open_values(choices.width, lambda w, i=index, s=size, t=tied: counter.tied(i, t, s, w))  # type: ignore[misc]
                width = decide(f"stages.{index}.width", widths, choices.width)
            stage = self._walk_stage(decide, index, width, size)
            if index > 0 and layout == "pyramid":
                how = decide(f"stages.{index}.downsampling", choices.downsampling, choices.downsampling)
                stage = stage.changed(downsample=2, downsampling=how)
            stages.append(stage)
        return Architecture(
            stages=tuple(stages),
            stem=stem,
            head=Head(norm=decide("head.norm", self.head.norm, self.head.norm), kind=self.head.kind),
            image_size=self.image_size,
            in_chans=self.in_chans,
            num_classes=self.num_classes,
        )

    def _walk_stage(self, decide: Decide, index: int, width: int, size: Size) -> Stage:
        choices, prefix = self.stages[index], f"stages.{index}"
        mixer = _walk_named(decide, prefix, "mixer", self.counter.blocks(index, width, size), choices.mixer)
        behind = self.counter.channel_mixers(index, width, mixer)
        channel_mixer = _walk_named(decide, prefix, "channel_mixer", behind, choices.channel_mixer)
        plain = {
            field: decide(f"{prefix}.{field}", getattr(choices, field), getattr(choices, field))
            for field in choices.plain
        }
        residuals = tuple(dict.fromkeys(residual for residual, _ in choices.forms))
        residual = decide(f"{prefix}.residual", residuals, choices.residual)
        scales = tuple(scale for form, scale in choices.forms if form == residual)
        scale = decide(f"{prefix}.layer_scale", scales, choices.layer_scale)
        return Stage(
            mixer=mixer, channel_mixer=channel_mixer, width=width, residual=residual, layer_scale=scale, **plain
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
                    neighbour = self.walk(_nearest_to({**wanted, decision.place: other}))
                    found[neighbour.id] = neighbour
        found.pop(architecture.id, None)
        return list(found.values())

    def suggest(self, trial: Trial) -> Architecture:
        """The architecture that an Optuna `trial` suggests, define-by-run: only the decisions that arise are asked for."""

        def choose(decision: Decision) -> Any:
            chosen = trial.suggest_categorical(decision.name, list(decision.labels))
            return decision.values[decision.labels.index(chosen)]

        return self.walk(choose)

    def _why_empty(self) -> SpaceError:
        height, width = self.image_size
        if not any(height % p == 0 and width % p == 0 for p in self.stem.patch):
            return EmptySpaceError("stem.patch", f"must divide the image {height}x{width}", list(self.stem.patch))
        patch = next(p for p in self.stem.patch if height % p == 0 and width % p == 0)
        n = min(self.stage_counts)
        layout = self._layouts(n)[0]
        for index, (stage, size) in enumerate(zip(self.stages, self.counter.sizes(n, layout, patch), strict=False)):
            widths = self.stages[0].width if layout == "isotropic" else stage.width
            error = stage.first_error(widths, size)
            if not any(self.counter.stage(index, w, size) for w in widths) and error is not None:
                cause = error.at(f"stages[{index}]")
                return EmptySpaceError(
                    cause.place, f"nothing fits a map of {size[0]}x{size[1]}: {cause.rule}", cause.value
                )
        return EmptySpaceError("stages", "no width of the first stage fits all stages of the isotropic layout")


def _walk_named(
    decide: Decide, prefix: str, field: str, open_mixers: Sequence[Any], declared: Mapping[str, Any]
) -> Any:
    names = tuple(dict.fromkeys(mixer.name for mixer in open_mixers))
    name = decide(f"{prefix}.{field}", names, tuple(declared))
    left = [mixer for mixer in open_mixers if mixer.name == name]
    return _walk_fields(decide, f"{prefix}.{name}", left, declared[name])


def _walk_fields(decide: Decide, prefix: str, left: Sequence[Any], declared: Mapping[str, Sequence[Any]]) -> Any:
    """Decide field by field which of the values `left` it is."""
    for field in type(left[0]).model_fields:
        value = decide(f"{prefix}.{field}", option_values(left, field), declared.get(field, ()))
        left = [one for one in left if getattr(one, field) == value]
    return left[0]


def decisions_of(architecture: Architecture) -> dict[str, Any]:
    """Every decision that could have led to `architecture`, place -> value."""
    stages = architecture.stages
    pyramid = any(stage.downsample == 2 for stage in stages)
    found: dict[str, Any] = {
        "num_stages": len(stages),
        "layout": "pyramid" if pyramid else "isotropic",
        "head.norm": architecture.head.norm,
    }
    for field in Stem.model_fields:
        found[f"stem.{field}"] = getattr(architecture.stem, field)
    for index, stage in enumerate(stages):
        prefix = f"stages.{index}"
        for field in ("width", "depth", "norm", "act", "residual", "layer_scale", "downsampling", "squeeze_excite"):
            found[f"{prefix}.{field}"] = getattr(stage, field)
        for field, mixer in (("mixer", stage.mixer), ("channel_mixer", stage.channel_mixer)):
            found[f"{prefix}.{field}"] = mixer.name
            for option in type(mixer).model_fields:
                found[f"{prefix}.{mixer.name}.{option}"] = getattr(mixer, option)
    return found


def _nearest_to(wanted: Mapping[str, Any]) -> Choose:
    def choose(decision: Decision) -> Any:
        value = wanted.get(decision.place)
        if value in decision.values:
            return value
        return min(decision.values, key=lambda other: _distance(other, value))

    return choose


def _distance(a: object, b: object) -> float:
    """Of two values of one decision: of numbers and groups their ratio, of names none is nearer than another."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return sum(_distance(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float) and a > 0 and b > 0:
        return abs(math.log(a / b))
    return 0.0


def _below(bound: int, rng: Rng) -> int:
    return int(rng.integers(bound)) if isinstance(rng, np.random.Generator) else rng.randrange(bound)


def label(value: Any) -> Label:
    """A value as Optuna stores it: groups (4, 2) are "4x2", a composed value is its fields, the rest is itself."""
    if isinstance(value, Value):
        return ",".join(f"{field}={getattr(value, field)}" for field in type(value).model_fields)
    return "x".join(map(str, value)) if isinstance(value, tuple) else value


def named(place: str, values: Sequence[Any], declared: Sequence[Any]) -> str:
    """`place`, and which values are open unless all that were declared are: one name always has one set of values."""
    if tuple(values) == tuple(declared):
        return place
    labels = ",".join(str(label(value)) for value in values)
    if len(labels) > 32:
        labels = f"{len(values)} of {hashlib.sha256(labels.encode()).hexdigest()[:8]}"
    return f"{place}{{{labels}}}"
