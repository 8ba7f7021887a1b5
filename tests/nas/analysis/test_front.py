"""Dominance and hypervolume against brute force: all pairs of rows, a grid of cells, inclusion and exclusion, sampling."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from nas.analysis.front import Bounds, front_mask, hypervolume, hypervolume_over, normalise
from nas.objectives import Direction, Objective

DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")


def objective(direction: Direction = "maximize", log: bool = False, name: str = "x") -> Objective:
    return Objective(name=name, label=name, unit="", direction=direction, log=log, source="trained")


def dominates(a: np.ndarray, b: np.ndarray, signs: np.ndarray) -> bool:
    return bool(((a * signs >= b * signs).all()) and ((a * signs > b * signs).any()))


def brute_mask(values: np.ndarray, directions: list[Direction]) -> np.ndarray:
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    finite = np.isfinite(values).all(axis=1)
    return np.array(
        [
            finite[i] and not any(dominates(values[j], values[i], signs) for j in range(len(values)) if finite[j])
            for i in range(len(values))
        ],
        dtype=bool,
    )


def brute_volume(unit: np.ndarray) -> float:
    """The union of the boxes [0, point] by inclusion and exclusion."""
    return sum(
        (-1) ** (size + 1) * float(np.prod(np.min([unit[i] for i in chosen], axis=0)))
        for size in range(1, len(unit) + 1)
        for chosen in combinations(range(len(unit)), size)
    )


small = st.integers(0, 4).map(float)  # few values, so that ties and duplicates are common


@st.composite
def tables(draw: st.DrawFn, largest: int = 12) -> tuple[np.ndarray, list[Direction]]:
    columns = draw(st.integers(1, 4))
    cells = st.one_of(small, st.just(np.nan)) if draw(st.booleans()) else small
    values = draw(arrays(np.float64, (draw(st.integers(0, largest)), columns), elements=cells))
    return values, draw(st.lists(st.sampled_from(DIRECTIONS), min_size=columns, max_size=columns))


@given(tables())
def test_front_equals_pairwise_comparison(table: tuple[np.ndarray, list[Direction]]) -> None:
    values, directions = table
    np.testing.assert_array_equal(front_mask(values, directions), brute_mask(values, directions))


def test_front_keeps_duplicates_and_leaves_out_what_is_not_finite() -> None:
    values = [[0.9, 10], [0.9, 10], [0.8, 20], [0.7, 5], [np.nan, 1], [np.inf, 30]]
    assert front_mask(values, ["maximize", "minimize"]).tolist() == [True, True, False, True, False, False]


def test_a_table_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a column per objective, found the shape \(1, 3\)"):
        front_mask([[1.0, 2.0, 3.0]], ["maximize", "minimize"])


@given(tables(largest=6))
def test_hypervolume_is_inclusion_and_exclusion(table: tuple[np.ndarray, list[Direction]]) -> None:
    values, directions = table
    objectives = [objective(direction) for direction in directions]
    found = hypervolume(values, objectives)
    counted = values[np.isfinite(values).all(axis=1)]
    width = np.ptp(counted, axis=0) if len(counted) else np.zeros(values.shape[1])
    if not width.any():
        assert found == 0.0
        return
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    turned = counted * signs
    unit = np.ones_like(turned)  # an objective with one value drops out of the product
    unit[:, width > 0] = (turned - turned.min(axis=0))[:, width > 0] / width[width > 0]
    assert found == pytest.approx(brute_volume(unit), abs=1e-12)


def test_hypervolume_in_two_dimensions_by_hand() -> None:
    # Accuracy 0.5..1, MACs 1e3..1e5 in decades: the unit points are (0, 1), (0.6, 0.5), (1, 0).
    objectives = [objective("maximize"), objective("minimize", log=True)]
    values = [[0.5, 1e3], [0.8, 1e4], [1.0, 1e5]]
    assert hypervolume(values, objectives) == pytest.approx(0.6 * 0.5)


def test_hypervolume_in_three_dimensions_is_the_share_of_cells_and_of_random_points() -> None:
    rng = np.random.default_rng(3)
    objectives = [objective("maximize"), objective("minimize"), objective("maximize")]
    steps = 20
    values = np.vstack([rng.integers(0, steps + 1, (15, 3)), [[0, steps, 0], [steps, 0, steps]]]).astype(float)
    values[:-1] = np.where(values[:-1] > 14, 14, values[:-1])
    values = values[:-1]
    unit = normalise(values, objectives)
    low, high = values.min(axis=0), values.max(axis=0)
    cells = np.stack(np.meshgrid(*[np.arange(low[i], high[i]) + 0.5 for i in range(3)], indexing="ij"), -1).reshape(
        -1, 3
    )
    signs = np.array([1, -1, 1])
    covered = ((values[:, None] - cells[None]) * signs > 0).all(axis=2).any(axis=0)
    assert hypervolume(values, objectives) == pytest.approx(covered.mean(), abs=1e-12)
    samples = rng.random((40_000, 3))
    hit = (unit[:, None] >= samples[None]).all(axis=2).any(axis=0).mean()
    assert hypervolume(values, objectives) == pytest.approx(hit, abs=0.015)


@settings(max_examples=50)
@given(tables(largest=15))
def test_hypervolume_over_trials_is_that_of_each_beginning(table: tuple[np.ndarray, list[Direction]]) -> None:
    values, directions = table
    objectives = [objective(direction) for direction in directions]
    over = hypervolume_over(values, objectives)
    bounds = Bounds.of(values, objectives)
    expected = [hypervolume(values[: n + 1], objectives, bounds) for n in range(len(values))]
    np.testing.assert_allclose(over, expected, atol=1e-12)
    assert (np.diff(over) >= 0).all()


@given(tables())
def test_normalised_values_span_the_box(table: tuple[np.ndarray, list[Direction]]) -> None:
    values, directions = table
    unit = normalise(values, [objective(direction) for direction in directions])
    counted = np.isfinite(values).all(axis=1)
    assert np.isnan(unit[~counted]).all()
    if counted.any():
        assert (unit[counted].max(axis=0) == 1).all()
        varies = np.ptp(values[counted], axis=0) > 0
        assert (unit[counted].min(axis=0) == np.where(varies, 0, 1)).all()


@pytest.mark.parametrize("values", [[], [[0.9, 100.0]], [[0.9, 100.0], [0.9, 100.0]], [[np.nan, 1.0]]])
def test_equal_values_span_no_box(values: list[list[float]]) -> None:
    objectives = [objective("maximize"), objective("minimize", log=True)]
    assert hypervolume(values, objectives) == 0.0
    assert hypervolume_over(values, objectives).tolist() == [0.0] * len(values)


def test_an_objective_of_one_value_drops_out() -> None:
    pair = [objective("maximize"), objective("minimize")]
    triple = [*pair, objective("maximize")]
    values = np.array([[0.1, 1.0], [0.5, 2.0], [0.9, 3.0]])
    assert hypervolume(np.column_stack([values, [7.0] * 3]), triple) == hypervolume(values, pair)


def test_values_without_a_logarithm_are_not_counted() -> None:
    objectives = [objective("maximize"), objective("maximize", log=True)]
    values = [[0.1, 10.0], [0.9, 1.0], [1.0, 0.0]]
    assert hypervolume(values, objectives) == hypervolume(values[:2], objectives)


def test_bounds_from_elsewhere_clip_and_must_fit() -> None:
    line = [objective("maximize")]
    bounds = Bounds(worst=(0.0,), best=(1.0,))
    assert hypervolume([[0.25]], line, bounds) == 0.25
    assert hypervolume([[2.0]], line, bounds) == 1.0
    assert hypervolume([[-1.0]], line, bounds) == 0.0
    with pytest.raises(ValueError, match="bounds of 1 objectives cannot scale 2"):
        normalise([[1.0, 2.0]], [*line, *line], bounds)
    with pytest.raises(ValueError, match="finite worst and best"):
        Bounds(worst=(np.nan,), best=(1.0,))


def test_ten_thousand_trials_end_where_the_whole_front_does() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((10_000, 3))
    values /= np.linalg.norm(values, axis=1, keepdims=True) * rng.uniform(1, 3, (10_000, 1))
    objectives = [objective("maximize")] * 3
    over = hypervolume_over(values, objectives)
    assert over[-1] == pytest.approx(hypervolume(values, objectives), abs=1e-9)
