"""Decisions that lead to an architecture: their names, the order in which they are made, and those of a given architecture.

`SearchSpace.walk` makes them in order; see there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_space.architecture import Architecture
from search_space.shapes import BlockShape
from search_space.spaces.choices import field_values
from search_space.spaces.counting import ArchitectureCounter
from search_space.spaces.stage_choices import StageChoices
from search_space.stage import Stage
from search_space.stem import StemSpec
from search_space.value import Value

Label = str | int | float | bool | None  # a value as Optuna stores it


@dataclass(frozen=True)
class Decision:
    """One of the decisions that lead to an architecture.

    Args:
        place: the place in the architecture, such as `stages.0.mixer`; the same in every walk.
        values: the values from which a valid architecture can still be completed, at least two.
        declared: the choices that the space declares; `values` may be some of them.
    """

    place: str
    values: tuple[Any, ...]
    declared: tuple[Any, ...]

    @property
    def name(self) -> str:
        """`place`, and the open values unless all declared ones are open: a name always has the same set of values."""
        return decision_name(self.place, self.values, self.declared)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The values as Optuna stores them."""
        return tuple(label(value) for value in self.values)


Choose = Callable[[Decision], Any]
Decide = Callable[[str, Sequence[Any], Sequence[Any]], Any]  # (place, open values, declared values)


def walk_mixer(decide: Decide, prefix: str, field: str, open_mixers: Sequence[Any], declared: Mapping[str, Any]) -> Any:
    """Decide which of `open_mixers` it is: its name, then its options one by one."""
    names = tuple(dict.fromkeys(mixer.name for mixer in open_mixers))
    name = decide(f"{prefix}.{field}", names, tuple(declared))
    open_mixers = [mixer for mixer in open_mixers if mixer.name == name]
    return walk_fields(decide, f"{prefix}.{name}", open_mixers, declared[name])


def walk_fields(decide: Decide, prefix: str, open_values: Sequence[Any], declared: Mapping[str, Sequence[Any]]) -> Any:
    """Decide field by field which of `open_values` it is."""
    for field in type(open_values[0]).model_fields:
        if len(open_values) == 1:  # no decision is left
            break
        chosen = decide(f"{prefix}.{field}", field_values(open_values, field), declared.get(field, ()))
        open_values = [value for value in open_values if getattr(value, field) == chosen]
    return open_values[0]


def walk_shape(decide: Decide, prefix: str, open_shapes: Sequence[BlockShape], choices: StageChoices) -> BlockShape:
    """Decide which of `open_shapes` a stage has: its width, then whether it halves the map."""
    width = decide(f"{prefix}.width", field_values(open_shapes, "width"), choices.width)
    open_shapes = [shape for shape in open_shapes if shape.width == width]
    stride = decide(f"{prefix}.downsample", field_values(open_shapes, "stride"), choices.downsample or ())
    return next(shape for shape in open_shapes if shape.stride == stride)


def walk_stage(decide: Decide, index: int, shape: BlockShape, counter: ArchitectureCounter) -> Stage:
    """Decide the fields of stage `index`, which has `shape`."""
    choices, prefix = counter.stages[index], f"stages.{index}"
    forms = counter.forms(index, shape)
    for field in ("residual", "begin", "depth"):
        value = decide(f"{prefix}.{field}", field_values(forms, field), getattr(choices, field))
        forms = tuple(form for form in forms if getattr(form, field) == value)
    form = forms[0]
    pairs = counter.mixer_pairs(index, form.residual, form.block_shapes)
    mixer = walk_mixer(decide, prefix, "mixer", tuple(pairs), choices.mixer)
    channel_mixer = walk_mixer(decide, prefix, "channel_mixer", pairs[mixer], choices.channel_mixer)
    remaining = {field: getattr(choices, field) for field in choices.independent_fields} | {
        "layer_scale": choices.layer_scales(form.residual),
        "downsampling": choices.downsamplings(form, shape),
    }
    return Stage(
        mixer=mixer,
        channel_mixer=channel_mixer,
        width=shape.width,
        downsample=shape.stride,
        residual=form.residual,
        begin=form.begin,
        depth=form.depth,
        **{field: decide(f"{prefix}.{field}", values, getattr(choices, field)) for field, values in remaining.items()},
    )


def walk_stages(decide: Decide, n: int, layout: str, stem: StemSpec, counter: ArchitectureCounter) -> tuple[Stage, ...]:
    """Decide `n` stages in `layout` after `stem`, from first to last."""
    stages: list[Stage] = []
    shapes, flat = counter.first_shapes(layout, stem.patch, stem.ratio), True
    for index in range(n):
        open_shapes = [shape for shape in shapes if counter.completions(n, layout, index, shape, flat)]
        shape = walk_shape(decide, f"stages.{index}", open_shapes, counter.stages[index])
        stages.append(walk_stage(decide, index, shape, counter))
        flat = flat and shape.stride == 1
        shapes = counter.next_shapes(layout, index + 1, shape.width, shape.size) if index + 1 < n else ()
    return tuple(stages)


def decisions_of(architecture: Architecture) -> dict[str, Any]:
    """Every decision that could have led to `architecture`, place -> value."""
    stages = architecture.stages
    pyramid = any(stage.downsample == 2 for stage in stages)
    decisions: dict[str, Any] = {
        "num_stages": len(stages),
        "layout": "pyramid" if pyramid else "isotropic",
        "head.norm": architecture.head.norm,
    }
    for field in StemSpec.model_fields:
        decisions[f"stem.{field}"] = getattr(architecture.stem, field)
    for index, stage in enumerate(stages):
        prefix = f"stages.{index}"
        for field in type(stage).model_fields:
            decisions[f"{prefix}.{field}"] = getattr(stage, field)
        for field, mixer in (("mixer", stage.mixer), ("channel_mixer", stage.channel_mixer)):
            decisions[f"{prefix}.{field}"] = mixer.name
            for option in type(mixer).model_fields:
                decisions[f"{prefix}.{mixer.name}.{option}"] = getattr(mixer, option)
    return decisions


def nearest_to(targets: Mapping[str, Any]) -> Choose:
    """Choose the value that `targets` has for the place of each decision where it is open, else the nearest open value."""

    def choose(decision: Decision) -> Any:
        value = targets.get(decision.place)
        if value in decision.values:
            return value
        return min(decision.values, key=lambda other: _distance(other, value))

    return choose


def _distance(a: object, b: object) -> float:
    """The distance of two values of one decision: of numbers and groups their log ratio; names are equally distant."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return sum(_distance(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float) and a > 0 and b > 0:
        return abs(math.log(a / b))
    return 0.0


def label(value: Any) -> Label:
    """A value as Optuna stores it: groups (4, 2) as "4x2", a description as its fields, others unchanged."""
    if isinstance(value, Value):
        return ",".join(f"{field}={getattr(value, field)}" for field in type(value).model_fields)
    return "x".join(map(str, value)) if isinstance(value, tuple) else value


def decision_name(place: str, values: Sequence[Any], declared: Sequence[Any]) -> str:
    """`place`, and the open values unless all declared ones are open: a name always has the same set of values."""
    if tuple(values) == tuple(declared):
        return place
    labels = ",".join(str(label(value)) for value in values)
    if len(labels) > 32:
        labels = f"{len(values)} of {hashlib.sha256(labels.encode()).hexdigest()[:8]}"
    return f"{place}{{{labels}}}"
