"""A text description of an architecture, part by part: image, stem, stages, head.

The terminal and the report draw these parts. They are read from the real `Architecture`, so that sizes, channels and norms
are those of the network that `search_space.build` makes. A mixer needs nothing here: its name and its options are shown.

An architecture that this release cannot read, written by a newer version for example, is described from its JSON alone,
without map sizes, and `ArchitectureText.note` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from nas.formatting import dimensions
from search_space.architecture import Architecture
from search_space.errors import SpaceError
from search_space.shapes import MapShape
from search_space.stage import Stage

PlainArchitecture: TypeAlias = Mapping[str, Any]
"""An architecture as JSON: `Architecture.to_dict()`."""

LayerText: TypeAlias = tuple[str, str]
"""The name of a layer and its options: ("conv", "k 5, groups depthwise")."""

_STAGE_KEYS = ("mixer", "channel_mixer", "depth", "width")


@dataclass(frozen=True)
class PartText:
    """One part of a network.

    Args:
        title: "image", "stem", "stage 1", "head".
        shape: the shape of its output, "16 × 16 × 32" (height, width, channels).
        layers: its layers in order; of a stage, those of one block.
        depth: number of blocks; 1 outside stages.
        transition: of a stage, how map and width change on entry; empty if they do not.
        notes: of a stage, norm, activation, residual form and further options.
        mixer: the name of a stage's token mixer; empty outside stages.
    """

    title: str
    shape: str
    layers: tuple[LayerText, ...] = ()
    depth: int = 1
    transition: str = ""
    notes: str = ""
    mixer: str = ""


@dataclass(frozen=True)
class ArchitectureText:
    """The parts of an architecture from the image to the head.

    Args:
        parts: in the order of the data flow.
        note: why this is only what the JSON says; empty for an architecture that this release knows.
    """

    parts: tuple[PartText, ...]
    note: str = ""


def describe(architecture: PlainArchitecture) -> ArchitectureText:
    """The parts of `architecture`."""
    try:
        known = Architecture.from_dict(dict(architecture))
    except SpaceError as error:
        note = f"This version does not know this architecture ({error}). Shown is what its JSON says."
        return ArchitectureText(tuple(_parts_of_json(architecture)), note)
    return describe_known(known)


def describe_known(architecture: Architecture) -> ArchitectureText:
    """The parts of an `architecture` that this release knows."""
    return ArchitectureText(tuple(_parts(architecture)))


def mixer_names(architecture: PlainArchitecture | None) -> tuple[str, ...]:
    """The name of each stage's token mixer, in order; empty without an architecture."""
    return tuple(_name(stage.get("mixer")) for stage in _stages_of_json(architecture))


def block_counts(architecture: PlainArchitecture | None) -> dict[str, int]:
    """The number of blocks of each token mixer, over all stages."""
    counts: dict[str, int] = {}
    for name, stage in zip(mixer_names(architecture), _stages_of_json(architecture), strict=True):
        counts[name] = counts.get(name, 0) + _depth(stage)
    return counts


def options_text(options: Mapping[str, Any]) -> str:
    """Options in one line: `k 5, groups 4 × 2, bias no`; options that are null are left out."""
    return ", ".join(f"{key} {_value_text(value)}" for key, value in options.items() if value is not None)


def _parts(architecture: Architecture) -> Iterator[PartText]:
    inputs = architecture.stage_inputs
    yield PartText("image", dimensions(*architecture.image_size, architecture.in_chans))
    yield _stem_part(architecture, *inputs[0])
    for index, stage in enumerate(architecture.stages):
        yield _stage_part(index + 1, stage, inputs[index], architecture.sizes[index])
    yield _head_part(architecture)


def _stem_part(architecture: Architecture, width: int, size: tuple[int, int]) -> PartText:
    """Convolutions, pooling, position embedding."""
    stem = architecture.stem
    norm = [f"{stem.norm} norm"] if stem.norm else []
    activation: list[str] = [stem.act] if stem.act else []
    after = activation + norm if stem.order == "act_norm" else norm + activation
    bias = [] if stem.bias else ["no bias"]
    layers = [
        ("conv", ", ".join([f"k {stem.side}", f"stride {stride}", f"{c_in} → {c_out}", *bias, *after]))
        for c_in, c_out, stride in stem.convolutions(architecture.in_chans, width)
    ]
    if stem.pool:
        layers.append(("max pool", "k 3, stride 2"))
    if stem.pos_embed:
        layers.append(("position embedding", ""))
    return PartText("stem", dimensions(*size, width), tuple(layers))


def _stage_part(number: int, stage: Stage, stage_input: MapShape, size: tuple[int, int]) -> PartText:
    described = (stage.mixer.to_dict(), stage.channel_mixer.to_dict())
    notes = [f"{stage.norm} norm", stage.act, f"residual form {stage.residual}"]
    if stage.layer_scale is not None:
        notes.append(f"layer scale {stage.layer_scale:g}")
    if stage.squeeze_excite is not None:
        notes.append(f"squeeze-excite (reduction {stage.squeeze_excite.reduction})")
    return PartText(
        title=f"stage {number}",
        shape=dimensions(*size, stage.width),
        layers=tuple((str(options.pop("name")), options_text(options)) for options in described),
        depth=stage.depth,
        transition=_transition_text(stage, stage_input, size),
        notes=" · ".join(notes),
        mixer=stage.mixer.name,
    )


def _transition_text(stage: Stage, stage_input: MapShape, size: tuple[int, int]) -> str:
    """Where the map or the width changes: before the first block, or within it."""
    width_before, size_before = stage_input
    convolution = _downsampling_text(stage, width_before)
    if stage.has_transition(width_before):
        return f"{'downsampling' if stage.downsample == 2 else 'change of width'}: {convolution}"
    if stage.begin == "transition":
        return ""
    change = f"{dimensions(*size_before, width_before)} → {dimensions(*size, stage.width)}"
    shortcut = f"; shortcut: {convolution}" if stage.residual_form.has_downsampling_shortcut else ""
    return f"first block: {change}{shortcut}"


def _downsampling_text(stage: Stage, width_before: int) -> str:
    """The convolution of a stage's downsampling; without a stride it is 1x1."""
    downsampling, stride = stage.downsampling, stage.downsample
    words = [
        f"conv k {downsampling.kernel if stride == 2 else 1}",
        f"stride {stride}",
        f"{width_before} → {stage.width}",
    ]
    words += [] if downsampling.bias else ["no bias"]
    if downsampling.norm is not None:
        place = "on 2 × 2 patches" if downsampling.norm == "patches" else downsampling.norm  # noqa: RUF001
        words.append(f"{stage.norm} norm {place}")
    return ", ".join(words)


def _head_part(architecture: Architecture) -> PartText:
    """Average pooling and the classifier, with the norm where the head has it."""
    head, last = architecture.head, architecture.stages[-1]
    layers = [("average pool", "")]
    if head.norm is not None:
        norm = (f"{head.kind or last.norm} norm", "")
        layers.insert(0 if head.norm == "before" else 1, norm)
    layers.append(("linear", f"{last.width} → {architecture.num_classes}"))
    return PartText("head", f"{architecture.num_classes} classes", tuple(layers))


def _parts_of_json(architecture: PlainArchitecture) -> Iterator[PartText]:
    """The parts as far as JSON of an unknown form tells."""
    image_size = architecture.get("image_size")
    sides = image_size if isinstance(image_size, list | tuple) else [image_size or "?"] * 2
    yield PartText("image", dimensions(*sides, architecture.get("in_chans", "?")))
    yield PartText("stem", "", _options_layer(architecture.get("stem")))
    for number, stage in enumerate(_stages_of_json(architecture), start=1):
        described = [stage[key] for key in ("mixer", "channel_mixer") if stage.get(key)]
        options = [part if isinstance(part, Mapping) else {} for part in described]
        yield PartText(
            title=f"stage {number}",
            shape=f"width {stage.get('width', '?')}",
            layers=tuple(
                (_name(part), options_text(_without(of_part, "name")))
                for part, of_part in zip(described, options, strict=True)
            ),
            depth=_depth(stage),
            notes=options_text(_without(stage, *_STAGE_KEYS)),
            mixer=_name(stage.get("mixer")),
        )
    yield PartText("head", f"{architecture.get('num_classes', '?')} classes", _options_layer(architecture.get("head")))


def _stages_of_json(architecture: PlainArchitecture | None) -> list[Mapping[str, Any]]:
    stages = (architecture or {}).get("stages")
    return [stage for stage in stages if isinstance(stage, Mapping)] if isinstance(stages, list | tuple) else []


def _options_layer(options: object) -> tuple[LayerText, ...]:
    text = options_text(options) if isinstance(options, Mapping) else str(options or "")
    return (("", text),) if text else ()


def _name(mixer: object) -> str:
    """The name of a mixer, which JSON may give alone or among options."""
    return str(mixer.get("name", "?")) if isinstance(mixer, Mapping) else str(mixer or "?")


def _depth(stage: Mapping[str, Any]) -> int:
    depth = stage.get("depth", 1)
    return depth if isinstance(depth, int) else 1


def _without(options: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in keys}


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return dimensions(*(_value_text(item) for item in value))
    if isinstance(value, Mapping):
        return f"({options_text(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
