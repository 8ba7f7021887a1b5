"""Shapes of feature maps: what goes into a layer, a block or a stage, and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple

from search_space.field_types import Begin, Stride

Size = tuple[int, int]  # (height, width)


class MapShape(NamedTuple):
    """The shape of a feature map.

    Args:
        width: channels.
        size: (height, width).
    """

    width: int
    size: Size


class BlockShape(NamedTuple):
    """The shapes of the input and the output of a block, or of a stage as a whole.

    Args:
        width_before, width: channels of the input and of the output.
        size_before: map size of the input.
        stride: 2 halves the map, rounding up.
    """

    width_before: int
    width: int
    size_before: Size
    stride: Stride = 1

    @property
    def size(self) -> Size:
        """The map size of the output."""
        return strided_size(self.size_before, self.stride)

    @property
    def is_changing(self) -> bool:
        """True if the output has another shape than the input."""
        return self.stride == 2 or self.width != self.width_before


def strided_size(size: Size, stride: int) -> Size:
    """The map size after a layer of `stride`, rounded up."""
    return (-(-size[0] // stride), -(-size[1] // stride))


def distinct_block_shapes(begin: Begin, depth: int, stage: BlockShape) -> tuple[BlockShape, ...]:
    """The distinct shapes among a stage's `depth` blocks, the last block's shape last; `stage`: that of the stage.

    The blocks of a stage have one shape, but for the first where it changes map and width itself (`begin`: "block").
    """
    rest = BlockShape(stage.width, stage.width, stage.size)
    if begin == "transition" or not stage.is_changing:
        return (rest,)
    return (stage,) if depth == 1 else (stage, rest)
