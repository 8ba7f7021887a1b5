"""Decisions on the way to an architecture: what they are called, how they are taken, what an architecture implies of them.

`SearchSpace.walk` makes them in order; see there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_space.architecture import Architecture, Stage
from search_space.blocks import BlockShape
from search_space.macro import Stem
from search_space.spaces.choices import option_values
from search_space.spaces.counting import Counter
from search_space.spaces.stage_choices import StageChoices
from search_space.value import Value

Label = str | int | float | bool | None  # a value as Optuna stores it


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


def walk_named(decide: Decide, prefix: str, field: str, open_mixers: Sequence[Any], declared: Mapping[str, Any]) -> Any:
    """Decide which of `open_mixers` it is: its name, then its options one by one."""
    names = tuple(dict.fromkeys(mixer.name for mixer in open_mixers))
    name = decide(f"{prefix}.{field}", names, tuple(declared))
    left = [mixer for mixer in open_mixers if mixer.name == name]
    return walk_fields(decide, f"{prefix}.{name}", left, declared[name])


def walk_fields(decide: Decide, prefix: str, left: Sequence[Any], declared: Mapping[str, Sequence[Any]]) -> Any:
    """Decide field by field which of the values `left` it is."""
    for field in type(left[0]).model_fields:
        value = decide(f"{prefix}.{field}", option_values(left, field), declared.get(field, ()))
        left = [one for one in left if getattr(one, field) == value]
    return left[0]


def walk_entry(decide: Decide, prefix: str, left: Sequence[BlockShape], choices: StageChoices) -> BlockShape:
    """Decide which of the sites `left` it is that a stage as a whole changes: its width, then whether it halves the map."""
    width = decide(f"{prefix}.width", option_values(left, "width"), choices.width)
    left = [entry for entry in left if entry.width == width]
    stride = decide(f"{prefix}.downsample", option_values(left, "stride"), choices.downsample or ())
    return next(entry for entry in left if entry.stride == stride)


def walk_stage(decide: Decide, index: int, entry: BlockShape, counter: Counter) -> Stage:
    """Decide what stage `index` is that changes `entry`."""
    choices, prefix = counter.stages[index], f"stages.{index}"
    forms = counter.forms(index, entry)
    for field in ("residual", "begin", "depth"):
        value = decide(f"{prefix}.{field}", option_values(forms, field), getattr(choices, field))
        forms = tuple(form for form in forms if getattr(form, field) == value)
    form = forms[0]
    pairs = counter.pairs(index, form.residual, form.sites)
    mixer = walk_named(decide, prefix, "mixer", tuple(pairs), choices.mixer)
    channel_mixer = walk_named(decide, prefix, "channel_mixer", pairs[mixer], choices.channel_mixer)
    scales, hows = choices.layer_scales(form.residual), choices.downsamplings(form, entry)
    free = {field: getattr(choices, field) for field in choices.plain} | {
        "layer_scale": scales,
        "downsampling": hows,
    }
    return Stage(
        mixer=mixer,
        channel_mixer=channel_mixer,
        width=entry.width,
        downsample=entry.stride,
        residual=form.residual,
        begin=form.begin,
        depth=form.depth,
        **{field: decide(f"{prefix}.{field}", values, getattr(choices, field)) for field, values in free.items()},
    )


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
        for field in type(stage).model_fields:
            found[f"{prefix}.{field}"] = getattr(stage, field)
        for field, mixer in (("mixer", stage.mixer), ("channel_mixer", stage.channel_mixer)):
            found[f"{prefix}.{field}"] = mixer.name
            for option in type(mixer).model_fields:
                found[f"{prefix}.{mixer.name}.{option}"] = getattr(mixer, option)
    return found


def nearest_to(wanted: Mapping[str, Any]) -> Choose:
    """Takes the `wanted` value of each place where it is open, and else the nearest."""

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
