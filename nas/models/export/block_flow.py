"""The layers of a block in the order of the data flow, and where its shortcuts begin and end, to be drawn.

They are read from the residual form's own description (`ResidualForm.trace`), so that a new form needs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_space.channel_mixers import ChannelMixerSpec
from search_space.residual_forms.base import BlockLayers
from search_space.shapes import BlockShape, MapShape
from search_space.stage import Stage
from search_space.tape import FeatureMap

LayerKind = Literal["token mixer", "channel mixer", "norm", "act", "gate", "sum"]


@dataclass(frozen=True)
class FlowLayer:
    """A layer of a block.

    Args:
        kind: what it is.
        name: its name; "+" of a sum.
        shortcut_from: of a sum, the number of layers before the place where its shortcut begins; else None.
        shortcut: the layer on the shortcut; empty if it is the identity.
    """

    kind: LayerKind
    name: str
    shortcut_from: int | None = None
    shortcut: str = ""


def block_flow(stage: Stage, stage_input: MapShape) -> tuple[FlowLayer, ...]:
    """The layers of the first block of `stage`, whose input has the shape `stage_input`."""
    shape = stage.block_shapes(stage_input)[0]
    recorder = _FlowRecorder(stage, shape)
    stage.residual_form.trace(recorder, recorder.input)
    return tuple(recorder.layers)


@dataclass
class _Place:
    """Where a map is in the flow: the number of layers before it, and the layer on a shortcut that computed it."""

    map: FeatureMap  # kept, so that no other map gets its id
    before: int
    shortcut: str = ""


class _FlowRecorder(BlockLayers):
    """Records the layers that a residual form calls."""

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__(shape, stage.channel_mixer)
        self._stage = stage
        self.layers: list[FlowLayer] = []
        self._places: dict[int, _Place] = {}
        self.input = FeatureMap(shape.width_before, shape.size_before)
        self._remember(self.input, 0)

    def token_mixer(self, x: FeatureMap) -> FeatureMap:
        return self._add("token mixer", self._stage.mixer.name)

    def channel_mixer(self, x: FeatureMap) -> FeatureMap:
        y = self._add("channel mixer", self._stage.channel_mixer.name)
        return self.gate(y)

    def part_of_channel_mixer(self, spec: ChannelMixerSpec, x: FeatureMap, width: int) -> FeatureMap:
        return self._add("channel mixer", spec.name)

    def interlace(self, x: FeatureMap, groups: int) -> FeatureMap:
        return self._add("channel mixer", "interlace")

    def norm(self, x: FeatureMap) -> FeatureMap:
        return self._add("norm", "norm")

    def act(self, x: FeatureMap) -> FeatureMap:
        return self._add("act", self._stage.act)

    def gate(self, x: FeatureMap) -> FeatureMap:
        return x if self._stage.squeeze_excite is None else self._add("gate", "gate")

    def shortcut(self, x: FeatureMap) -> FeatureMap:
        place = self._places[id(x)]
        y = FeatureMap(self.shape.width, x.size)
        changes = self.shape.is_changing and self._stage.begin == "block"
        self._remember(y, place.before, "downsampling" if changes else "")
        return y

    def residual_sum(self, x: FeatureMap, branch: FeatureMap) -> FeatureMap:
        place = self._places[id(x)]
        self.layers.append(FlowLayer("sum", "+", place.before, place.shortcut))
        return self._output()

    def _add(self, kind: LayerKind, name: str) -> FeatureMap:
        self.layers.append(FlowLayer(kind, name.replace("_", " ")))
        return self._output()

    def _output(self) -> FeatureMap:
        y = FeatureMap(self.shape.width, self.shape.size_before)
        self._remember(y, len(self.layers))
        return y

    def _remember(self, x: FeatureMap, before: int, shortcut: str = "") -> None:
        self._places[id(x)] = _Place(x, before, shortcut)
