"""The algebra of channel dependency graphs, against naive loops and the Jacobians of real layers."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from search_space import channel_graph as cdg
from search_space.channel_graph import ChannelGraph
from search_space.errors import SpaceError


def plain_divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def pairs(c_in: int, hidden: int, c_out: int) -> list[tuple[int, int]]:
    """All (g1, g2) whose layers exist."""
    firsts = [g for g in plain_divisors(hidden) if c_in % g == 0]
    return list(product(firsts, [g for g in plain_divisors(hidden) if c_out % g == 0]))


def reach(c_in: int, hidden: int, c_out: int, g1: int, g2: int) -> np.ndarray:
    """Which inputs an output of the pair sees, followed by hand through both layers and the shuffle between."""
    seen = np.zeros((c_out, c_in), dtype=bool)
    for output in range(c_out):
        group = output // (c_out // g2)
        for p in range(group * (hidden // g2), (group + 1) * (hidden // g2)):
            before = (p % g1) * (hidden // g1) + p // g1
            first = before // (hidden // g1) * (c_in // g1)
            seen[output, first : first + c_in // g1] = True
    return seen


@pytest.mark.parametrize(("c_in", "hidden", "c_out"), list(product((4, 6, 12), (1, 8, 12, 24), (6, 8, 12))))
def test_a_pair_reaches_every_channel_iff_g1_times_g2_is_at_most_the_hidden_channels(
    c_in: int, hidden: int, c_out: int
) -> None:
    for g1, g2 in pairs(c_in, hidden, c_out):
        graph = cdg.grouped_layer_pair(c_in, hidden, c_out, g1, g2)
        assert np.array_equal(graph.matrix, reach(c_in, hidden, c_out, g1, g2)), (g1, g2)
        assert graph.is_full == (g1 * g2 <= hidden), (g1, g2)


@st.composite
def layers(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """(c_in, hidden, c_out, g1, g2) that exist."""
    g1, g2 = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    hidden = int(np.lcm(g1, g2)) * draw(st.integers(1, 4))
    return g1 * draw(st.integers(1, 5)), hidden, g2 * draw(st.integers(1, 5)), g1, g2


@given(layers())
@settings(max_examples=150)
def test_the_closed_rule_holds_for_any_layers(pair: tuple[int, int, int, int, int]) -> None:
    _, hidden, _, g1, g2 = pair
    graph = cdg.grouped_layer_pair(*pair)
    assert graph.is_full == (g1 * g2 <= hidden)
    assert graph.is_full == (graph.missing() == {})


@given(st.integers(1, 12), st.integers(1, 12))
def test_interlacing_takes_one_channel_of_each_group_in_turn(groups: int, each: int) -> None:
    channels = groups * each
    dealt = [group * each + turn for turn in range(each) for group in range(groups)]
    assert list(cdg.interlacing(channels, groups)) == dealt
    graph = cdg.interlace_layer(channels, groups).matrix
    assert [list(np.flatnonzero(row)) for row in graph] == [[source] for source in dealt]


def conv(c_in: int, c_out: int, groups: int) -> nn.Conv2d:
    layer = nn.Conv2d(c_in, c_out, 1, groups=groups, bias=False, dtype=torch.float64)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(c_in + c_out + groups))
    return layer


@pytest.mark.parametrize(("g1", "g2", "g3"), [(1, 1, 1), (2, 3, 4), (4, 6, 2), (12, 1, 6), (6, 6, 3)])
def test_composition_is_the_pattern_of_the_jacobian_of_real_layers(g1: int, g2: int, g3: int) -> None:
    a, b, c = conv(12, 24, g1), conv(24, 12, g2), conv(12, 36, g3)
    order = list(cdg.interlacing(24, g1))

    def network(x: torch.Tensor) -> torch.Tensor:
        y = b(a(x[None, :, None, None])[:, order])
        return c(y + x[None, :, None, None])[0, :, 0, 0]

    jacobian = torch.autograd.functional.jacobian(network, torch.zeros(12, dtype=torch.float64))
    pair = cdg.grouped_layer(12, 24, g1).then(cdg.interlace_layer(24, g1)).then(cdg.grouped_layer(24, 12, g2))
    graph = pair.plus(cdg.identity(12)).then(cdg.grouped_layer(12, 36, g3))
    assert graph == ChannelGraph((jacobian.abs() > 1e-12).numpy())


@given(st.data())
def test_composition_is_the_boolean_product_and_is_associative(data: st.DataObject) -> None:
    sizes = [data.draw(st.integers(1, 5)) for _ in range(4)]
    bits = st.integers(0, 1)
    a, b, c = (
        ChannelGraph(np.array([[data.draw(bits) for _ in range(i)] for _ in range(o)], dtype=np.bool_))
        for i, o in pairwise(sizes)
    )
    naive = np.array(
        [
            [any(b.matrix[o, h] and a.matrix[h, i] for h in range(sizes[1])) for i in range(sizes[0])]
            for o in range(sizes[2])
        ]
    )
    assert np.array_equal(a.then(b).matrix, naive)
    assert a.then(b).then(c) == a.then(b.then(c))
    assert hash(a.then(b).then(c)) == hash(a.then(b.then(c)))


def test_sums_of_layers_depend_on_what_either_depends_on() -> None:
    both = cdg.grouped_layer(4, 4, 2).plus(cdg.permutation((3, 2, 1, 0)))
    assert both.missing() == {0: (2,), 1: (3,), 2: (0,), 3: (1,)}


@pytest.mark.parametrize(("c_in", "hidden", "c_out"), list(product((8, 12, 48), (12, 48, 60), (12, 32))))
@pytest.mark.parametrize("kernel_pixels", [1, 9])
def test_cheapest_groups_are_those_of_a_search_through_all(
    c_in: int, hidden: int, c_out: int, kernel_pixels: int
) -> None:
    def macs(g1: int, g2: int) -> int:
        """Counted weight by weight: every output of a layer has a weight for each input of its group."""
        first = sum(c_in // g1 * kernel_pixels for _ in range(hidden))
        return first + sum(hidden // g2 for _ in range(c_out))

    full = [(g1, g2) for g1, g2 in pairs(c_in, hidden, c_out) if reach(c_in, hidden, c_out, g1, g2).all()]
    cheapest = cdg.cheapest_groups(c_in, hidden, c_out, kernel_pixels)
    assert cheapest in full
    assert macs(*cheapest) == min(macs(*pair) for pair in full)
    assert cheapest[0] == min(pair[0] for pair in full if macs(*pair) == macs(*cheapest))
    assert cdg.pair_macs(c_in, hidden, c_out, *cheapest, kernel_pixels) == macs(*cheapest)


def test_the_cheapest_groups_of_clcnet_are_near_the_published_optimum() -> None:
    # 3x3 and pointwise layers of 128 channels: g1 = sqrt(9*128*128/128) = 33.9, g2 = 128/33.9 = 3.8 -> (32, 4).
    assert cdg.cheapest_groups(128, 128, 128, kernel_pixels=9) == (32, 4)


def test_group_pairs_are_all_that_divide_and_reach() -> None:
    for c_in, hidden, c_out in product((6, 8), (8, 12), (12,)):
        existing = pairs(c_in, hidden, c_out)
        full = [(g1, g2) for g1, g2 in existing if g1 * g2 <= hidden]
        assert sorted(cdg.group_pairs(c_in, hidden, c_out)) == sorted(full)


def test_divisors_are_those_that_leave_no_rest() -> None:
    for number in range(1, 300):
        assert list(cdg.divisors(number)) == plain_divisors(number)


def test_missing_names_the_inputs_that_no_path_reaches() -> None:
    # Two groups of two after four groups of one: outputs 0 and 1 see inputs 0 and 2 (interlaced among 4: as they are).
    assert cdg.grouped_layer_pair(4, 4, 4, 4, 2).missing() == {0: (2, 3), 1: (2, 3), 2: (0, 1), 3: (0, 1)}
    assert cdg.dense(3).missing() == {}
    assert cdg.dense(3, 2).matrix.shape == (2, 3)
    assert cdg.identity(2).missing() == {0: (1,), 1: (0,)}


def test_graphs_are_values() -> None:
    graph = cdg.identity(3)
    assert graph == cdg.grouped_layer(3, 3, 3)
    assert graph != cdg.dense(3)
    assert graph != "identity"
    assert len({graph, cdg.grouped_layer(3, 3, 3), cdg.dense(3)}) == 2
    with pytest.raises(ValueError, match="read-only"):
        graph.matrix[0, 0] = False


@pytest.mark.parametrize("groups", [0, -1, 5])
def test_groups_that_do_not_divide_are_refused(groups: int) -> None:
    with pytest.raises(SpaceError, match=rf"groups: must divide the 6 input and 12 output channels, found {groups}"):
        cdg.grouped_layer(6, 12, groups)
    with pytest.raises(SpaceError, match=rf"groups: must divide the 6 channels to interlace, found {groups}"):
        cdg.interlacing(6, groups)


def test_layers_that_do_not_fit_together_and_odd_matrices_are_refused() -> None:
    with pytest.raises(SpaceError, match="a layer of 4 inputs follows one of 3 outputs"):
        cdg.dense(2, 3).then(cdg.identity(4))
    with pytest.raises(SpaceError, match="matrix: must be a boolean matrix"):
        ChannelGraph(np.ones((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="matrix: must be a boolean matrix"):
        ChannelGraph(np.ones(2, dtype=np.bool_))
