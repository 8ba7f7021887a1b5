"""The running front against the front and the hypervolume that are computed from all values at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from nas.analysis.front import Floats, front_mask, hypervolume, hypervolume_over
from nas.analysis.running_front import RunningFront
from nas.objectives import Objective, get

NAMES = ("accuracy", "macs", "images_per_s", "params", "latency_ms")
VALUES = st.sampled_from([0.25, 1.0, 1.5, 2.0, 3.0, 10.0, 1e3, 1e6])
"""Few different values, so that some are equal."""


def objectives_of(count: int) -> list[Objective]:
    return [get(name) for name in NAMES[:count]]


@st.composite
def tables(draw: st.DrawFn) -> Floats:
    """`(n, m)`: values of up to 40 trials in 1 to 5 objectives."""
    count = draw(st.integers(1, 5))
    table: Floats = draw(arrays(np.float64, (draw(st.integers(0, 40)), count), elements=VALUES))
    return table


def check(front: RunningFront, table: Floats, numbers: Sequence[int]) -> None:
    """Assert that `front` is what the oracles compute from the rows of `table`, in which trial `numbers[i]` is row `i`."""
    objectives = objectives_of(table.shape[1])
    mask = front_mask(table, [objective.direction for objective in objectives])
    assert sorted(front.trials) == [number for number, on_front in zip(numbers, mask, strict=True) if on_front]
    over = hypervolume_over(table, objectives)
    row_of = {number: row for row, number in enumerate(numbers)}
    expected = [over[row_of[entry.trial]] for entry in front.entries]
    assert front.hypervolumes == pytest.approx(expected, abs=1e-9)
    last = front.hypervolumes[-1] if front.hypervolumes else 0.0
    assert last == pytest.approx(hypervolume(table, objectives), abs=1e-9)


@given(tables(), st.data())
def test_one_by_one_and_in_parts_it_is_the_front_of_all(table: Floats, data: st.DataObject) -> None:
    objectives = objectives_of(table.shape[1])
    numbers = list(range(100, 100 + len(table)))
    single, parts = RunningFront(objectives), RunningFront(objectives)
    row = 0
    while row < len(table):
        size = data.draw(st.integers(1, len(table) - row))
        parts.extend(numbers[row : row + size], table[row : row + size])
        entered = [single.add(numbers[i], table[i]) for i in range(row, row + size)]
        row += size
        for front in (single, parts):
            check(front, table[:row], numbers[:row])
        on_front = {entry.trial for entry in single.entries}
        assert [numbers[row - size + i] in on_front for i in range(size)] == entered
    assert [vars(entry)["removed_by"] for entry in parts.entries] == [entry.removed_by for entry in single.entries]


@given(tables())
def test_each_trial_that_left_was_removed_by_one_that_dominates_it(table: Floats) -> None:
    objectives = objectives_of(table.shape[1])
    front = RunningFront(objectives)
    front.extend(range(len(table)), table)
    signs = np.array([1 if objective.direction == "maximize" else -1 for objective in objectives])
    for entry in front.entries:
        if entry.removed_by >= 0:
            better, worse = table[entry.removed_by] * signs, entry.values * signs
            assert (better >= worse).all()
            assert (better > worse).any()
            assert entry.removed_by > entry.trial


@given(tables(), tables())
def test_a_restored_front_goes_on(first: Floats, second: Floats) -> None:
    if first.shape[1] != second.shape[1]:
        return
    objectives = objectives_of(first.shape[1])
    front = RunningFront(objectives)
    front.extend(range(len(first)), first)
    restored = RunningFront.restore(objectives, front.entries, front.extremes)
    check(restored, first, range(len(first)))
    both = np.concatenate([first, second])
    restored.extend(range(len(first), len(both)), second)
    check(restored, both, range(len(both)))


def test_values_without_a_logarithm_are_on_the_front_and_have_no_hypervolume() -> None:
    table = np.array([[0.5, 0.0], [0.4, 10.0], [0.9, 10.0], [0.6, 5.0]])
    front = RunningFront(objectives_of(2))
    front.extend(range(4), table)
    assert front.trials == [0, 2, 3]
    assert [entry.trial for entry in front.entries] == [0, 2, 3]
    assert front.hypervolumes == pytest.approx([0.0, *hypervolume_over(table, front.objectives)[2:]])


def test_many_trials() -> None:
    rng = np.random.default_rng(0)
    table = np.stack([rng.uniform(size=3000), 10 ** rng.uniform(5, 8, 3000), 10 ** rng.uniform(2, 4, 3000)], axis=1)
    front = RunningFront(objectives_of(3))
    front.extend(range(3000), table)
    check(front, table, range(3000))
