"""The operators that an architecture consists of, from its description alone: the rows of a table of latencies.

An operator is a layer, or a few that always occur together, with the shape of its input: a token mixer, a channel mixer with
its activation, a norm, a sum with the shortcut. It can be built by itself (`modules/operators.py`), and so be timed by itself;
the time of a network is about the sum over its operators (Cai et al., "ProxylessNAS", 2019). No torch.

Not included: the channel shuffle within a "bottleneck", and stochastic depth, which costs nothing in inference. The eps of a
norm does not change its time, so the norms of operators have that of their kind.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from search_space.architecture import Architecture
from search_space.channel_mixers import ChannelMixerSpec
from search_space.field_types import Stride
from search_space.mixers import TokenMixerSpec
from search_space.norm import NormSpec, norm_name
from search_space.residual_forms import BlockLayers
from search_space.shapes import BlockShape, MapShape, Size, strided_size
from search_space.stage import Stage
from search_space.tape import Cost, FeatureMap, Tape
from search_space.value import Value

Kind = Literal["stem", "tokens", "channels", "downsampling", "norm", "act", "scale", "gate", "sum", "head"]


class Operator(NamedTuple):
    """A layer with the shape of its input and output.

    Args:
        kind: the kind of layer.
        spec: its description; of a norm or an activation its name, of a sum or a scale an empty string.
        width, size: channels and map size of the input.
        out: channels of the output.
        stride: 2 halves the map.
        detail: the activation of a channel mixer, the norm of a downsampling or head.
    """

    kind: Kind
    spec: Any
    width: int
    size: Size
    out: int
    stride: Stride = 1
    detail: str = ""

    @property
    def family(self) -> str:
        """Operators that differ only in numbers are of one family: times of some predict those of the others."""
        if not isinstance(self.spec, Value):
            return f"{self.kind} {self.spec} {self.detail}".strip()
        name = getattr(self.spec, "name", "")
        choices = [f"{key} {value}" for key, value in self.spec if isinstance(value, str | bool)]
        return " ".join(filter(None, [self.kind, name, *choices, self.detail]))

    @property
    def key(self) -> str:
        """Equal for equal operators, and only for them, also in later releases."""
        spec = self.spec
        if isinstance(spec, Value):
            options = ", ".join(f"{key} {value}" for key, value in spec.non_defaults().items() if key != "name")
            spec = f"{getattr(spec, 'name', '')}({options})"
        shape = f"{self.width}x{self.size[0]}x{self.size[1]} to {self.out}"
        return " ".join(filter(None, [self.kind, str(spec), self.detail, shape, "halved" if self.stride == 2 else ""]))

    @property
    def cost(self) -> Cost:
        """The cost of one image."""
        tape, x = Tape(), FeatureMap(self.width, self.size)
        match self.kind:
            case "stem":
                self.spec.trace(x, tape, self.out)
            case "tokens":
                (self.spec.trace_strided if self.stride == 2 else self.spec.trace)(x, tape)
            case "channels":
                self.spec.trace(x, tape, self.detail, self.out)
            case "downsampling":
                self.spec.trace(x, tape, self.out, self.detail, self.stride)
            case "gate":
                self.spec.trace(x, tape)
            case "head":
                self.spec.trace(x, tape, self.out, self.detail)
            case "norm":
                tape.norm(self.spec, x)
            case "scale":
                tape.scale(x)
            case _:
                pass  # elementwise
        return tape.cost

    @property
    def io_numel(self) -> int:
        """Numbers in the input and the output of one image."""
        before = self.size[0] * self.size[1]
        if self.kind == "head":
            return self.width * before + self.out
        stride = self.spec.patch if self.kind == "stem" else self.stride
        return self.width * before + self.out * -(-self.size[0] // stride) * -(-self.size[1] // stride)


def operators(architecture: Architecture) -> Counter[Operator]:
    """The operators of `architecture`, with the number of each."""
    counts: Counter[Operator] = Counter()
    for of_part in operators_by_part(architecture):
        counts.update(of_part)
    return counts


def operators_by_part(architecture: Architecture) -> tuple[Counter[Operator], ...]:
    """The operators of the stem, of each stage and of the head, with the number of each."""
    stem, head, last = architecture.stem, architecture.head, architecture.stages[-1]
    if isinstance(stem.norm, NormSpec):
        stem = stem.replace(norm=stem.norm.name)
    if isinstance(head.kind, NormSpec):
        head = head.replace(kind=head.kind.name)
    width = stem.width(architecture.stages[0].width)
    kind = norm_name(head.kind or last.norm)
    return (
        Counter([Operator("stem", stem, architecture.in_chans, architecture.image_size, width)]),
        *map(_stage_operators, architecture.stages, architecture.stage_inputs),
        Counter([Operator("head", head, last.width, architecture.sizes[-1], architecture.num_classes, detail=kind)]),
    )


@lru_cache(maxsize=8192)
def _stage_operators(stage: Stage, stage_input: MapShape) -> Counter[Operator]:
    counts: Counter[Operator] = Counter()
    if stage.has_transition(stage_input.width):
        counts[_downsampling(stage, stage.shape(stage_input))] += 1
    blocks = Counter(
        (shape, stage.canonical_mixer(shape).for_block(index))
        for index, shape in enumerate(stage.block_shapes(stage_input))
    )
    for (shape, mixer), times in blocks.items():
        layers = OperatorLayers(stage, mixer, shape)
        stage.residual_form.trace(layers, FeatureMap(shape.width_before, shape.size_before))
        for operator in layers.operators:
            counts[operator] += times
    return counts


def _downsampling(stage: Stage, shape: BlockShape) -> Operator:
    width, size, stride = shape.width_before, shape.size_before, shape.stride
    return Operator("downsampling", stage.downsampling, width, size, shape.width, stride, norm_name(stage.norm))


class OperatorLayers(BlockLayers):
    """The layers of a block, collected as `operators` in the order of the forward pass.

    Args:
        stage: the stage.
        mixer: its token mixer in this block.
        shape: the shapes of the block's input and output.
    """

    __slots__ = ("mixer", "operators", "stage")

    def __init__(self, stage: Stage, mixer: TokenMixerSpec, shape: BlockShape) -> None:
        super().__init__(shape, stage.channel_mixer)
        self.stage, self.mixer = stage, mixer
        self.operators: list[Operator] = []

    def _add(self, kind: Kind, spec: Any, x: FeatureMap, out: int, detail: str = "", stride: Stride = 1) -> FeatureMap:
        operator = Operator(kind, spec, x.width, x.size, out, stride, detail)
        self.operators.append(operator)
        return FeatureMap(out, strided_size(x.size, stride))

    def token_mixer(self, x: FeatureMap) -> FeatureMap:
        return self._add("tokens", self.mixer, x, x.width, stride=self.shape.stride)

    def channel_mixer(self, x: FeatureMap) -> FeatureMap:
        return self.gate(self.part_of_channel_mixer(self.channel_mixer_spec, x, self.shape.width))

    def part_of_channel_mixer(self, spec: ChannelMixerSpec, x: FeatureMap, width: int) -> FeatureMap:
        return self._add("channels", spec, x, width, self.stage.act)

    def interlace(self, x: FeatureMap, groups: int) -> FeatureMap:
        return x

    def norm(self, x: FeatureMap) -> FeatureMap:
        return self._add("norm", norm_name(self.stage.norm), x, x.width)

    def act(self, x: FeatureMap) -> FeatureMap:
        return self._add("act", self.stage.act, x, x.width)

    def gate(self, x: FeatureMap) -> FeatureMap:
        gate = self.stage.squeeze_excite
        return x if gate is None else self._add("gate", gate, x, x.width)

    def shortcut(self, x: FeatureMap) -> FeatureMap:
        if not self.shape.is_changing:
            return x
        self.operators.append(_downsampling(self.stage, self.shape))
        return FeatureMap(self.shape.width, self.shape.size)

    def residual_sum(self, x: FeatureMap, branch: FeatureMap) -> FeatureMap:
        if self.stage.layer_scale is not None:
            self._add("scale", "", branch, branch.width)
        return self._add("sum", "", x, x.width)
