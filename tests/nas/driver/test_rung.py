"""The ranking of the trials at a rung: by hand, and against a ranking from scratch for any order of arrivals and removals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nas import objectives
from nas.analysis.front import normalise
from nas.driver.rungs.rung import REFERENCE_MARGIN, Rung

OBJECTIVES = (objectives.get("accuracy"), objectives.get("macs"))
NAMES = [("accuracy",), ("accuracy", "macs"), ("accuracy", "macs", "images_per_s")]

NUMBERS = st.sampled_from([0.0, 0.25, 0.5, 0.5000000000000001, 0.75, 1.0, 3.0, 1e6, 1.0000001e6, np.nan, np.inf])
STEPS = st.lists(
    st.tuples(st.integers(0, 14), st.tuples(NUMBERS, NUMBERS, NUMBERS) | st.none()), min_size=1, max_size=40
)  # a trial, and its values or None for its removal


def rank_from_scratch(values: Mapping[int, Sequence[float]], names: Sequence[str]) -> list[int]:
    """The trials of `values` (trial -> one value per objective), best first."""
    trials = sorted(values)
    table = normalise([values[trial] for trial in trials], [objectives.get(name) for name in names])
    unit = np.nan_to_num(table, nan=-REFERENCE_MARGIN)
    if len(names) == 1:
        best_first = np.lexsort((trials, -unit[:, 0]))
        return [trials[i] for i in best_first]
    front = moocore.pareto_rank(unit, maximise=True)
    contributions = np.zeros(len(trials))
    for level in np.unique(front):
        members = np.nonzero(front == level)[0]
        contributions[members] = moocore.hv_contributions(unit[members], ref=-REFERENCE_MARGIN, maximise=True)
    return [trials[i] for i in np.lexsort((np.array(trials), -contributions, front))]


def ranking(rung: Rung, trials: Sequence[int]) -> list[int]:
    """All `trials` of `rung`, best first, by asking for the best of those that are left."""
    left, ranked = list(trials), []
    while (best := rung.best(len(rung), left)) is not None:
        left.remove(best)
        ranked.append(best)
    return ranked


def create_rung(values: Mapping[int, tuple[float, ...]]) -> Rung:
    rung = Rung(OBJECTIVES)
    for trial, at_rung in values.items():
        rung.set(trial, at_rung)
    return rung


@pytest.mark.parametrize("names", NAMES)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, reduction=st.integers(2, 4), seed=st.integers(0, 99))
def test_any_history_ranks_as_from_scratch(
    names: tuple[str, ...],
    steps: list[tuple[int, tuple[float, ...] | None]],
    reduction: int,
    seed: int,
) -> None:
    rung = Rung([objectives.get(name) for name in names])
    values: dict[int, tuple[float, ...]] = {}
    rng = np.random.default_rng(seed)
    for trial, at_rung in steps:
        if at_rung is None:
            values.pop(trial, None)
            rung.remove(trial)
        else:
            values[trial] = at_rung[: len(names)]
            rung.set(trial, at_rung[: len(names)])
        assert len(rung) == len(values)
        if not values:
            continue
        ranked = rank_from_scratch(values, names)
        count = max(1, len(values) // reduction)
        candidates = {trial for trial in values if rng.random() < 0.5}
        expected = next((trial for trial in ranked[:count] if trial in candidates), None)
        assert rung.best(count, candidates) == expected
    assert ranking(rung, list(values)) == (rank_from_scratch(values, names) if values else [])


def test_rank_is_by_fronts_then_by_hypervolume_contribution() -> None:
    values = {
        0: (0.90, 1e6),  # front; crowded by trial 1
        1: (0.91, 1.05e6),  # front; crowded by trial 0
        2: (0.50, 1e4),  # front; alone among the cheap
        3: (0.99, 1e7),  # front; the most accurate
        4: (0.89, 1.1e6),  # dominated by 0 and 1
        5: (0.30, 2e7),  # dominated by all
    }
    order = ranking(create_rung(values), list(values))
    assert set(order[:2]) == {2, 3}
    assert set(order[2:4]) == {0, 1}
    assert order[4:] == [4, 5]


def test_ties_are_ranked_by_number_and_an_empty_rung_has_no_best_trial() -> None:
    assert ranking(create_rung({3: (0.5, 1e6), 1: (0.5, 1e6)}), [3, 1]) == [1, 3]
    assert create_rung({}).best(1, [1]) is None


def test_only_the_first_are_chosen_from() -> None:
    rung = create_rung({0: (0.9, 1e6), 1: (0.6, 1e6), 2: (0.4, 1e6)})
    assert rung.best(1, [1, 2]) is None
    assert rung.best(2, [1, 2]) == 1
    assert rung.best(3, [2, 7]) == 2  # 7 is not on the rung
    assert rung.best(0, [0]) is None


def test_values_that_are_not_finite_rank_last() -> None:
    assert ranking(create_rung({0: (np.nan, 1e6), 1: (0.1, 1e6), 2: (0.9, 1e5)}), [0, 1, 2])[-1] == 0
