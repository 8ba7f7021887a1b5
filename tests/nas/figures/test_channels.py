"""The figure of a block's channel graph: its edges against the graph, its thinning, its drawing."""

from __future__ import annotations

import base64
import io
import json
from itertools import product

import numpy as np
import pytest
from PIL import Image

from nas.figures import ChannelsInfo, channels_figure, channels_info
from nas.figures.channels import FULL, INPUT, MAX_DEPENDENCIES, MAX_DRAWN
from search_space import channel_graph as cdg
from search_space.channel_graph import ChannelGraph, Layer, Stack
from search_space.channel_mixers.mlp import MLPSpec
from search_space.channel_mixers.pointwise import PointwiseSpec
from search_space.mixers.conv import ConvSpec

CLC = Stack((*ConvSpec(groups=16, interlace=True).layers(64), *PointwiseSpec(groups=4).layers(64)))
DEPTHWISE = Stack((*ConvSpec().layers(24), *MLPSpec(expansion=2.0, groups=(4, 6)).layers(24, 48)))
SHORT = Stack((*ConvSpec(groups=8, interlace=True).layers(16), *PointwiseSpec(groups=4).layers(16)))  # 8*4 > 16
ODD = Stack((Layer("odd", ChannelGraph(np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 0, 1, 1]], dtype=np.bool_))),))
WIDE = Stack((*ConvSpec().layers(384), *MLPSpec(groups=(32, 32)).layers(384)))
BLOCKS = [CLC, DEPTHWISE, SHORT, ODD]


def edges(info: ChannelsInfo, layer: int, shape: tuple[int, ...]) -> np.ndarray:
    """The matrix of a layer, from its links."""
    counts = np.zeros(shape, dtype=int)
    for link in info.links:
        if link.layer == layer:
            counts[slice(*link.outputs), slice(*link.inputs)] += 1
    return counts


@pytest.mark.parametrize("block", BLOCKS)
def test_the_links_are_the_edges_each_once(block: Stack) -> None:
    info = channels_info(block)
    assert info.note == ""
    for number, layer in enumerate(block.layers):
        assert np.array_equal(edges(info, number, layer.graph.matrix.shape), layer.graph.matrix)


@pytest.mark.parametrize("block", BLOCKS)
def test_channels_of_one_colour_are_those_that_depend_on_the_same_inputs(block: Stack) -> None:
    info = channels_info(block)
    assert set(info.columns[0]) == {INPUT}
    seen = [
        (colour, row)
        for c, g in zip(info.columns[1:], block.reach, strict=True)
        for colour, row in zip(c, g.matrix, strict=True)
    ]
    for (a, x), (b, y) in product(seen[:40] + seen[-40:], repeat=2):
        assert (a == b) == np.array_equal(x, y)
    assert all((colour == FULL) == row.all() for colour, row in seen)


def naive_paths(block: Stack, output: int) -> list[set[tuple[int, int]]]:
    """The edges of each layer on a path to `output`, walked back edge by edge."""
    needed, edges_of = {output}, []
    for layer in reversed(block.layers):
        matrix = layer.graph.matrix
        edges_of.append({(o, i) for o in needed for i in range(matrix.shape[1]) if matrix[o, i]})
        needed = {i for _, i in edges_of[-1]}
    return edges_of[::-1]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_dependency_is_every_edge_on_a_path_to_its_output(block: Stack) -> None:
    info = channels_info(block)
    assert info.dependencies
    for dependency in info.dependencies:
        edges_of: list[set[tuple[int, int]]] = [set() for _ in block.layers]
        for link in dependency.links:
            edges_of[link.layer] |= set(product(range(*link.outputs), range(*link.inputs)))
        assert edges_of == naive_paths(block, dependency.output)
        assert dependency.output in dependency.group
        for other in dependency.group:  # the same, but for the last edges
            assert naive_paths(block, other)[:-1] == edges_of[:-1]


def test_every_output_of_a_small_block_can_be_chosen() -> None:
    groups = [set(dependency.group) for dependency in channels_info(CLC).dependencies]
    assert sorted(map(sorted, groups)) == [list(range(16 * group, 16 * group + 16)) for group in range(4)]


def test_labels_say_what_each_layer_is() -> None:
    assert channels_info(CLC).labels == (("conv", "16 groups"), ("interlace", ""), ("pointwise", "4 groups"))
    dense = channels_info(Stack((Layer("global_filter", cdg.identity(4)), Layer("attention", cdg.dense(4)))))
    assert dense.labels == (("global filter", "per channel"), ("attention", "dense"))


def test_a_wide_block_is_thinned_and_says_so() -> None:
    info = channels_info(WIDE)
    assert all(len(points) <= MAX_DRAWN for points in info.points)
    for layer in range(len(WIDE.layers)):
        assert sum(link.layer == layer for link in info.links) <= MAX_DRAWN
    assert len(info.dependencies) == MAX_DEPENDENCIES
    assert info.note == (
        "Shown: 1 in 5 of 384 channels, 1 in 13 of 1536 channels, 1 in 5 of 384 links between two columns, "
        "1 in 13 of 1536 links between two columns, the dependencies of 16 of 32 groups of outputs."
    )
    # The shuffled column still shows every group; a step of 12 or 16 would not.
    shuffled = info.columns[3]
    assert {shuffled[point] for point in info.points[3]} == set(shuffled)
    assert len(json.dumps(channels_figure(info).to_plotly_json())) < 200_000


@pytest.mark.parametrize("block", [*BLOCKS, WIDE])
def test_the_figure_is_plain_json_and_its_matrices_are_the_reach(block: Stack) -> None:
    figure = channels_figure(channels_info(block))
    plain = figure.to_plotly_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == json.loads(figure.to_json())
    for image, graph in zip(plain["layout"]["images"], block.reach, strict=True):
        kind, _, text = image["source"].partition(",")
        assert kind == "data:image/png;base64"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"))[2:-2, 2:-2]  # in its frame
        times = pixels.shape[0] // graph.matrix.shape[0]
        assert pixels.shape[:2] == tuple(times * side for side in graph.matrix.shape)
        opaque = pixels[:, :, 3] > 0
        assert np.array_equal(opaque, graph.matrix.repeat(times, axis=0).repeat(times, axis=1))


def test_rows_of_a_matrix_and_points_of_its_column_have_one_colour() -> None:
    plain = channels_figure(channels_info(CLC)).to_plotly_json()
    columns = [
        trace["marker"]["color"] for trace in plain["data"] if isinstance(trace.get("marker", {}).get("color"), list)
    ]
    assert [len(colours) for colours in columns] == [64, 64, 64, 64]
    source = plain["layout"]["images"][1]["source"].partition(",")[2]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB"))[2:-2, 2:-2]
    times = pixels.shape[0] // 64
    for channel, row in enumerate(CLC.reach[1].matrix):
        red, green, blue = pixels[times * channel, times * int(np.flatnonzero(row)[0])]
        assert f"#{red:02x}{green:02x}{blue:02x}" == columns[2][channel]
    assert len(set(columns[1])) == 16
    assert sorted(columns[1]) == sorted(columns[2])


def test_the_page_finds_what_it_needs_to_show_another_output() -> None:
    info = channels_info(CLC)
    plain = channels_figure(info).to_plotly_json()
    meta = plain["layout"]["meta"]
    assert (meta["last"], meta["outputs"], len(meta["dependencies"])) == (3, 64, 4)
    for index, path in enumerate(meta["dependencies"][0]):
        trace = plain["data"][meta["first"] + index]
        assert (trace["x"], trace["y"]) == (path["x"], path["y"])
    for dependency, paths in zip(info.dependencies, meta["dependencies"], strict=True):
        ends = {y for path in paths for x, y in zip(path["x"], path["y"], strict=True) if x == 3}
        assert ends == {round((dependency.output + 0.5) / 64, 4)}
    (outputs,) = [trace["customdata"] for trace in plain["data"] if trace.get("customdata")]
    assert outputs == list(range(64))
