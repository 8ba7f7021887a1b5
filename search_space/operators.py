"""The operators that an architecture is made of, from its description alone: what a table of their latencies is about.

An operator is a layer, or a few that always stand together, at a place: a token mixer, a channel mixer with its activation, a
norm, a sum with the shortcut. It can be built alone (`modules/operators.py`), and so be timed alone; the time of a network is
about the sum of its operators' (Cai et al., "ProxylessNAS", 2019). No torch.

What is left out: the shuffle of channels within a "bottleneck", and stochastic depth, which costs nothing in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from search_space import blocks
from search_space.architecture import Architecture, Stage
from search_space.blocks import BlockShape, MapShape
from search_space.channel_mixers.pointwise import PointwiseSpec
from search_space.costs import Cost, Map, Size, Tape
from search_space.macro import Head, SqueezeExcite, Stem, Stride
from search_space.value import Value

Kind = Literal["stem", "tokens", "channels", "downsampling", "norm", "act", "scale", "gate", "sum", "head"]


class Operator(NamedTuple):
    """A layer where it stands.

    Args:
        kind: what it does.
        what: its description; for a norm or an activation its name, for a sum or a scale nothing.
        width, size: channels and map that come in.
        out: channels that go out.
        stride: 2 halves the map.
        how: the activation of a channel mixer, the norm of a downsampling or head.
    """

    kind: Kind
    what: Any
    width: int
    size: Size
    out: int
    stride: Stride = 1
    how: str = ""

    @property
    def family(self) -> str:
        """Operators that differ in numbers alone are of one family: what is known of some tells something of the others."""
        if not isinstance(self.what, Value):
            return f"{self.kind} {self.what} {self.how}".strip()
        name = getattr(self.what, "name", "")
        choices = [f"{key} {value}" for key, value in self.what if isinstance(value, str | bool)]
        return " ".join(filter(None, [self.kind, name, *choices, self.how]))

    @property
    def key(self) -> str:
        """Equal for equal operators, and only for them; also in later releases."""
        what = self.what
        if isinstance(what, Value):
            options = ", ".join(f"{key} {value}" for key, value in what.essence().items() if key != "name")
            what = f"{getattr(what, 'name', '')}({options})"
        shape = f"{self.width}x{self.size[0]}x{self.size[1]} to {self.out}"
        return " ".join(filter(None, [self.kind, str(what), self.how, shape, "halved" if self.stride == 2 else ""]))

    @property
    def cost(self) -> Cost:
        """Of one image."""
        tape, x = Tape(), Map(self.width, self.size)
        match self.kind:
            case "stem":
                self.what.trace(x, tape, self.out)
            case "tokens":
                (self.what.trace_halving if self.stride == 2 else self.what.trace)(x, tape)
            case "channels":
                self.what.trace(x, tape, self.how, self.out)
            case "downsampling":
                self.what.trace(x, tape, self.out, self.how, self.stride)
            case "gate":
                self.what.trace(x, tape)
            case "head":
                self.what.trace(x, tape, self.out, self.how)
            case "norm":
                tape.norm(self.what, x)
            case "scale":
                tape.scale(x)
            case _:
                pass  # elementwise
        return tape.cost

    @property
    def io_numel(self) -> int:
        """Numbers of the maps that come in and go out, of one image."""
        before = self.size[0] * self.size[1]
        if self.kind == "head":
            return self.width * before + self.out
        stride = self.what.patch if self.kind == "stem" else self.stride
        return self.width * before + self.out * -(-self.size[0] // stride) * -(-self.size[1] // stride)


def operators(architecture: Architecture) -> Counter[Operator]:
    """The operators of `architecture`, and how often it has each."""
    first, last = architecture.stages[0], architecture.stages[-1]
    width = architecture.stem.width(first.width)
    found = Counter([_stem(architecture.stem, architecture.in_chans, architecture.image_size, width)])
    for stage, before in zip(architecture.stages, architecture.stage_inputs, strict=True):
        found.update(_of_stage(stage, before))
    found[_head(architecture.head, last, architecture.sizes[-1], architecture.num_classes)] += 1
    return found


def _stem(stem: Stem, in_chans: int, image_size: Size, width: int) -> Operator:
    return Operator("stem", stem, in_chans, image_size, width)


def _head(head: Head, last: Stage, size: Size, num_classes: int) -> Operator:
    return Operator("head", head, last.width, size, num_classes, how=head.kind or last.norm)


@lru_cache(maxsize=8192)
def _of_stage(stage: Stage, stage_input: MapShape) -> Counter[Operator]:
    entry = stage.shape(stage_input)
    found: Counter[Operator] = Counter()
    if stage.has_transition(stage_input.width):
        found[_downsampling(stage, entry)] += 1
    for index, site in enumerate(stage.block_shapes(stage_input)):
        found.update(_of_block(stage, site, index))
    return found


def _downsampling(stage: Stage, site: BlockShape) -> Operator:
    stride = site.stride
    return Operator(
        "downsampling", stage.downsampling, site.width_before, site.size_before, site.width, stride, stage.norm
    )


def _of_block(stage: Stage, site: BlockShape, index: int) -> Iterator[Operator]:
    """The operators of a block in the order in which they come (`modules/blocks.py`)."""
    width, size = site.width, site.size
    inner, _ = where = blocks.spot(stage.residual, stage.channel_mixer, site)
    mixer = blocks.at_spot(stage, where).at(index)
    tokens = Operator("tokens", mixer, inner, site.size_before, inner, site.stride)
    channels = Operator("channels", stage.channel_mixer, site.width_before, size, width, how=stage.act)
    norm = Operator("norm", stage.norm, width, size, width)
    act = Operator("act", stage.act, width, size, width)
    scale = [] if stage.layer_scale is None else [Operator("scale", "", width, size, width)]
    gate = [_gate(stage.squeeze_excite, width, size)] if stage.squeeze_excite is not None else []
    branch = [*gate, *scale, Operator("sum", "", width, size, width)]
    match stage.residual:
        case "pre_norm":
            yield from (norm, tokens, *scale, branch[-1], norm, channels, *branch)
        case "single":
            yield from (norm, tokens, norm, channels, *branch)
        case "convmixer":
            yield from (tokens, act, norm, *scale, branch[-1], channels, *gate, act, norm)
        case "shiftvit":
            yield from (tokens, norm, channels, *branch)
        case "plain":
            before = Operator("norm", stage.norm, site.width_before, size, site.width_before)
            yield from (tokens, before, channels, *gate, norm, act)
        case "bottleneck":
            pair = blocks.pair_of(stage.channel_mixer)
            first, second = (PointwiseSpec(groups=groups, bias=pair.bias) for groups in pair.groups)
            yield Operator("channels", first, site.width_before, site.size_before, inner, how=stage.act)
            for at in (site.size_before, size):
                yield Operator("norm", stage.norm, inner, at, inner)
                yield Operator("act", stage.act, inner, at, inner)
            yield from (tokens, Operator("channels", second, inner, size, width, how=stage.act), norm)
            yield from (*branch, act)
            if site.changes:
                yield _downsampling(stage, site)


def _gate(gate: SqueezeExcite, width: int, size: Size) -> Operator:
    return Operator("gate", gate, width, size, width)
