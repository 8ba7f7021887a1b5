"""Channel dependency graphs (clcNet; Zhang, "clcNet: Improving the Efficiency of Convolutional Neural Network Using
Channel Local Convolutions", CVPR 2018).

The channel dependency graph (CDG) of a layer is the bipartite graph from its output channels to the input channels
they depend on: a boolean `(C_out, C_in)` matrix. Layers compose by the boolean product. A stack has a *full channel
receptive field* (FCRF) if every output depends on every input.

For a pair of grouped layers with L channels between them, g1 and g2 groups and interlacing in between, FCRF holds
if and only if `g1 * g2 <= L`.

A `Stack` is a block as a sequence of layers, to be drawn; their composition is the block's graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from search_space.errors import SpaceError

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """Which inputs each output channel depends on.

    Args:
        matrix: boolean `(C_out, C_in)`; made read-only.
    """

    matrix: Bools = field(repr=False)

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.dtype != np.bool_:
            raise SpaceError("matrix", "must be a boolean matrix (C_out, C_in)", self.matrix.shape)
        self.matrix.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChannelGraph) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash((self.matrix.shape, np.packbits(self.matrix).tobytes()))

    def then(self, after: ChannelGraph) -> ChannelGraph:
        """The graph of this layer followed by `after`.

        Raises:
            SpaceError: `after` has another number of inputs than this layer has outputs.
        """
        if after.matrix.shape[1] != self.matrix.shape[0]:
            raise SpaceError(
                "", f"a layer of {after.matrix.shape[1]} inputs follows one of {self.matrix.shape[0]} outputs"
            )
        return ChannelGraph((after.matrix.astype(np.float32) @ self.matrix.astype(np.float32)) > 0)

    def plus(self, other: ChannelGraph) -> ChannelGraph:
        """The graph of the sum of two layers (a residual connection is `plus(identity(C))`)."""
        return ChannelGraph(self.matrix | other.matrix)

    @property
    def is_full(self) -> bool:
        """True if every output depends on every input (FCRF)."""
        return bool(self.matrix.all())

    @cached_property
    def groups(self) -> int | None:
        """The number of groups if this is a layer in groups of consecutive channels (1: dense), else None."""
        c_out, c_in = self.matrix.shape
        groups = len({row.tobytes() for row in self.matrix})
        if c_in % groups or c_out % groups or grouped_layer(c_in, c_out, groups) != self:
            return None
        return groups

    def missing(self) -> dict[int, tuple[int, ...]]:
        """For each output that misses inputs, the inputs it misses."""
        return {
            int(o): tuple(np.flatnonzero(~self.matrix[o]).tolist()) for o in np.flatnonzero(~self.matrix.all(axis=1))
        }


def dense(c_in: int, c_out: int | None = None) -> ChannelGraph:
    """Every output from every input: a dense convolution, attention, a lambda layer."""
    return ChannelGraph(np.ones((c_in if c_out is None else c_out, c_in), dtype=np.bool_))


def identity(channels: int) -> ChannelGraph:
    """Every output from its own input only: depthwise convolution, pooling, a global filter."""
    return ChannelGraph(np.eye(channels, dtype=np.bool_))


def grouped_layer(c_in: int, c_out: int, groups: int) -> ChannelGraph:
    """A layer in `groups` groups of consecutive channels.

    Raises:
        SpaceError: `groups` does not divide both channel counts.
    """
    if groups < 1 or c_in % groups or c_out % groups:
        raise SpaceError("groups", f"must divide the {c_in} input and {c_out} output channels", groups)
    return ChannelGraph(np.kron(np.eye(groups, dtype=np.bool_), np.ones((c_out // groups, c_in // groups), np.bool_)))


def interlace_layer(channels: int, groups: int) -> ChannelGraph:
    """The channel shuffle `y[p] = x[(p % groups) * (channels // groups) + p // groups]`."""
    return permutation(interlacing(channels, groups))


def permutation(order: Sequence[int]) -> ChannelGraph:
    """A permutation of channels, `y[p] = x[order[p]]`."""
    return ChannelGraph(np.eye(len(order), dtype=np.bool_)[np.asarray(order)])


def interlacing(channels: int, groups: int) -> tuple[int, ...]:
    """For each output channel of the interlacing shuffle, the input channel that it takes."""
    if groups < 1 or channels % groups:
        raise SpaceError("groups", f"must divide the {channels} channels to interlace", groups)
    return tuple((p % groups) * (channels // groups) + p // groups for p in range(channels))


def grouped_layer_pair(c_in: int, hidden: int, c_out: int, g1: int, g2: int) -> ChannelGraph:
    """Grouped layer, interlacing, grouped layer: `c_in -> hidden (g1) -> hidden -> c_out (g2)`."""
    return grouped_layer(c_in, hidden, g1).then(interlace_layer(hidden, g1)).then(grouped_layer(hidden, c_out, g2))


@dataclass(frozen=True)
class Layer:
    """A layer of a block.

    Args:
        name: its name.
        graph: which inputs each output depends on.
    """

    name: str
    graph: ChannelGraph


@dataclass(frozen=True)
class Pair:
    """Two grouped layers with L channels between them, interlaced: they reach every channel iff `g1 * g2 <= hidden`."""

    g1: int
    g2: int
    hidden: int

    @property
    def is_full(self) -> bool:
        """The closed rule."""
        return self.g1 * self.g2 <= self.hidden


@dataclass(frozen=True)
class Stack:
    """The layers of a block in order, at least one.

    Raises:
        SpaceError: there is no layer, or one has another number of inputs than the layer before it has outputs.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise SpaceError("layers", "must not be empty")
        _ = self.reach  # raises for layers that do not fit together

    @cached_property
    def reach(self) -> tuple[ChannelGraph, ...]:
        """After each layer: which channels of the first layer's input each channel depends on."""
        return tuple(accumulate((layer.graph for layer in self.layers), ChannelGraph.then))

    @property
    def graph(self) -> ChannelGraph:
        """The composition of all layers."""
        return self.reach[-1]

    @property
    def widths(self) -> tuple[int, ...]:
        """The input channels, and the channels after each layer."""
        return (self.layers[0].graph.matrix.shape[1], *(layer.graph.matrix.shape[0] for layer in self.layers))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of layers to which the closed rule applies: grouped and interlaced (no need to interlace if one is dense).

        Depthwise layers in between do not matter.
        """
        graphs = [layer.graph for layer in self.layers]
        mixing = [graph for graph in graphs if graph != identity(len(graph.matrix))]
        return tuple(dict.fromkeys((*_pairs(graphs), *_pairs(mixing))))

    @property
    def rule(self) -> Pair | None:
        """The pair of most groups among those that reach every channel by the closed rule; None if there is none."""
        return max((pair for pair in self.pairs if pair.is_full), key=lambda pair: pair.g1 * pair.g2, default=None)


def _pairs(graphs: Sequence[ChannelGraph]) -> list[Pair]:
    """The pairs to which the closed rule applies among layers of `graphs`."""
    spaced = [
        (first, second)
        for first, shuffle, second in zip(graphs, graphs[1:], graphs[2:], strict=False)
        if first.groups and shuffle == interlace_layer(len(first.matrix), first.groups)
    ]
    joined = [(first, second) for first, second in pairwise(graphs) if 1 in (first.groups, second.groups)]
    return [
        Pair(first.groups, second.groups, len(first.matrix))
        for first, second in (*spaced, *joined)
        if first.groups and second.groups
    ]


@lru_cache(maxsize=4096)
def divisors(number: int) -> tuple[int, ...]:
    """The divisors of a positive `number`, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


@lru_cache(maxsize=4096)
def group_pairs(c_in: int, hidden: int, c_out: int) -> tuple[tuple[int, int], ...]:
    """All `(g1, g2)` that divide the channels and with which every output depends on every input (g1*g2 <= hidden)."""
    return tuple(
        (g1, g2)
        for g1 in divisors(c_in)
        for g2 in divisors(c_out)
        if hidden % g1 == 0 and hidden % g2 == 0 and g1 * g2 <= hidden
    )


def pair_macs(c_in: int, hidden: int, c_out: int, g1: int, g2: int, kernel_pixels: int = 1) -> int:
    """MACs of a grouped pair for each pixel: `A*M*L/g1 + L*N/g2`, A the pixels of the first layer's kernel."""
    return kernel_pixels * c_in * hidden // g1 + hidden * c_out // g2


@lru_cache(maxsize=4096)
def cheapest_groups(c_in: int, hidden: int, c_out: int, kernel_pixels: int = 1) -> tuple[int, int]:
    """The exact `(g1, g2)` of fewest MACs that keeps the full channel receptive field; ties go to the smaller g1.

    The real-valued optimum is `g1 = sqrt(A*M*L/N)`, `g2 = L/g1` (clcNet, section 4); this one is exact over divisors.
    """
    return min(
        group_pairs(c_in, hidden, c_out),
        key=lambda g: (pair_macs(c_in, hidden, c_out, g[0], g[1], kernel_pixels), g[0], g[1]),
    )
