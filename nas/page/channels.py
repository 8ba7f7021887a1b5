"""The channel dependencies of an architecture's blocks: in words for each trial, drawn for a few.

A picture takes 20 to 150 KB and some milliseconds. The dashboard draws those of a trial when they are asked for; the report
holds those of the front, each different block once and at most `MAX_PICTURES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from nas.analysis.channel_text import path_text, reach_text, stage_stacks
from nas.sampler.bounded_cache import BoundedCache
from search_space import Architecture, Stage
from search_space.channel_graph import Layer, Stack
from search_space.channel_mixers import ChannelMixerSpec
from search_space.mixers import TokenMixerSpec
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.shapes import BlockShape, MapShape

MAX_PICTURES: Final = 24
"""Maximum number of drawn blocks of a report."""
MAX_CHANNELS: Final = 2048
"""Channels of a stage whose dependencies are shown; composing the graphs of wider ones takes seconds and gigabytes."""


_TEXTS: Final[BoundedCache[bytes, tuple[str, str]]] = BoundedCache(max_entries=65536)
"""Path and reach of blocks by digest."""


class BlockText(NamedTuple):
    """A block in words.

    Args:
        digest: equal for blocks with equal channel graphs.
        path: its channels and groups.
        reach: whether each output depends on each input.
        outside: what the graph leaves out; empty if nothing.
    """

    digest: bytes
    path: str
    reach: str
    outside: str


def channel_texts(architecture: Architecture) -> list[dict[str, Any]]:
    """The different blocks of `architecture` in the order of its stages.

    Each has a `title` (the stages that have it) and the texts of `BlockText`: `path`, `reach` and, if it is not empty, `outside`.
    """
    return [
        {"title": "; ".join(titles), "path": block.path, "reach": block.reach}
        | ({"outside": block.outside} if block.outside else {})
        for block, titles in _titles(architecture).items()
    ]


def channel_pictures(architecture: Architecture) -> list[dict[str, Any]]:
    """The drawing of each block of `channel_texts`, in its order: plotly's `data` and `layout`, and a `note` on what it lacks."""
    return [_picture(stack) for stack in _drawn_stacks(architecture).values()]


@dataclass
class PictureList:
    """The pictures of different blocks in the order of their first use, at most `MAX_PICTURES`.

    Attributes:
        pictures: as `channel_pictures` gives them.
        omitted: the number of different blocks for which there was no room.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    omitted: int = 0
    _indices: dict[bytes, int | None] = field(default_factory=dict)

    def add(self, architecture: Architecture) -> list[int | None]:
        """The index in `pictures` of each block of `channel_texts(architecture)`; None for one without a picture."""
        blocks = list(_titles(architecture))
        new = dict.fromkeys(block.digest for block in blocks if block.digest not in self._indices)
        room = MAX_PICTURES - len(self.pictures)
        if new and room > 0:
            stacks = {block.digest: stack for block, stack in _drawn_stacks(architecture).items()}
            for digest in list(new)[:room]:
                self._indices[digest] = len(self.pictures)
                self.pictures.append(_picture(stacks[digest]))
        for digest in list(new)[max(room, 0) :]:
            self._indices[digest] = None
            self.omitted += 1
        return [self._indices[block.digest] for block in blocks]


def _titles(architecture: Architecture) -> dict[BlockText, list[str]]:
    """The different blocks, each with the stages that have it."""
    titles: dict[BlockText, list[str]] = {}
    for number, stage, stage_input in _shown_stages(architecture):
        blocks = _stage_blocks(stage, stage_input)
        for index, block in enumerate(blocks):
            part = "" if len(blocks) == 1 else (", other blocks" if index else ", first block")
            titles.setdefault(block, []).append(f"stage {number}{part}")
    return titles


def _shown_stages(architecture: Architecture) -> Iterator[tuple[int, Stage, MapShape]]:
    """Number, stage and input of each stage of at most `MAX_CHANNELS`."""
    stages = zip(architecture.stages, architecture.stage_inputs, strict=True)
    for number, (stage, stage_input) in enumerate(stages, start=1):
        if max(stage.width, stage_input.width) <= MAX_CHANNELS:
            yield number, stage, stage_input


def _drawn_stacks(architecture: Architecture) -> dict[BlockText, Stack]:
    """The different blocks with their graphs, in the order of `_titles`."""
    stacks: dict[BlockText, Stack] = {}
    for _, stage, stage_input in _shown_stages(architecture):
        for block, stack in zip(_stage_blocks(stage, stage_input), stage_stacks(stage, stage_input), strict=True):
            stacks.setdefault(block, stack)
    return stacks


@lru_cache(maxsize=8192)
def _stage_blocks(stage: Stage, stage_input: MapShape) -> tuple[BlockText, ...]:
    """The different blocks of a stage in words."""
    outside = _outside_text(stage)
    shapes = dict.fromkeys(stage.block_shapes(stage_input))
    texts = (_block_texts(stage.residual, stage.mixer, stage.channel_mixer, shape) for shape in shapes)
    return tuple(dict.fromkeys(BlockText(*text, outside) for text in texts))


@lru_cache(maxsize=16384)
def _block_texts(
    residual: str, mixer: TokenMixerSpec, channel_mixer: ChannelMixerSpec, shape: BlockShape
) -> tuple[bytes, str, str]:
    """Digest, path and reach of a block: many stages differ only in what its channels do not depend on, such as the depth."""
    return _texts_of(RESIDUAL_FORMS[residual].layers(mixer, channel_mixer, shape))


def _texts_of(layers: tuple[Layer, ...]) -> tuple[bytes, str, str]:
    """Digest, path and reach of a block; the graphs are composed only once for each digest, and not kept."""
    digest = _digest(layers)
    if digest not in _TEXTS:
        stack = Stack(layers)
        _TEXTS.store(digest, (path_text(stack), f"Full channel receptive field: {reach_text(stack)}."))
    return digest, *_TEXTS[digest]


def _digest(layers: tuple[Layer, ...]) -> bytes:
    digest = hashlib.sha256()
    for layer in layers:
        digest.update(f"{layer.name} {layer.graph.matrix.shape} ".encode())
        digest.update(layer.graph.matrix.tobytes())
    return digest.digest()


def _outside_text(stage: Stage) -> str:
    """A sentence on the parts of a block that its graph leaves out; empty if there are none."""
    parts = []
    if stage.residual != "plain":
        parts.append(f"the {stage.residual.replace('_', ' ')} residual connections add only each channel itself")
    if stage.squeeze_excite is not None:
        parts.append("the squeeze-excite gate depends on all channels")
    return f"Not drawn: {', and '.join(parts)}." if parts else ""


def _picture(stack: Stack) -> dict[str, Any]:
    from nas.figures.channels import channels_info
    from nas.figures.plot_channels import channels_figure  # imports plotly, which takes a while

    info = channels_info(stack)
    plain = channels_figure(info).to_plotly_json()
    of_columns = [annotation for annotation in plain["layout"]["annotations"] if annotation["xref"] == "x"]
    layout = plain["layout"] | {
        "annotations": of_columns
    }  # the page says itself what the matrices are: it may be narrow
    return {"data": plain["data"], "layout": layout, "note": info.note}
