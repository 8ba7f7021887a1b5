"""Successive halving: rungs, ranks and promotions, worked out by hand; and whole runs of random outcomes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nas import objectives
from nas.driver.halving import Halving, Ladder, rank_trials

OBJECTIVES = (objectives.get("accuracy"), objectives.get("macs"))
HALVING = Halving((1, 3, 9), 3)


@pytest.mark.parametrize(
    ("epochs", "reduction", "first", "rungs"),
    [
        (9, 3, 1, (1, 3, 9)),
        (20, 3, 2, (2, 7, 20)),
        (20, 3, 3, (7, 20)),
        (100, 4, 5, (6, 25, 100)),
        (1, 3, 1, (1,)),
        (5, 2, 9, (5,)),
        (3, 2, 1, (1, 2, 3)),
    ],
)
def test_rungs_fall_by_the_reduction_down_to_the_first(
    epochs: int, reduction: int, first: int, rungs: tuple[int, ...]
) -> None:
    assert Halving.of(epochs, reduction, first).rungs == rungs


def test_next_rung() -> None:
    assert [HALVING.after(epoch) for epoch in (0, 1, 2, 3, 8, 9, 10)] == [1, 3, 3, 9, 9, 9, 9]


def test_rank_is_by_fronts_then_by_hypervolume_contribution() -> None:
    values = {
        0: (0.90, 1e6),  # front; crowded by trial 1
        1: (0.91, 1.05e6),  # front; crowded by trial 0
        2: (0.50, 1e4),  # front; alone among the cheap
        3: (0.99, 1e7),  # front; the most accurate
        4: (0.89, 1.1e6),  # dominated by 0 and 1
        5: (0.30, 2e7),  # dominated by all
    }
    order = rank_trials(values, OBJECTIVES)
    assert set(order[:2]) == {2, 3}
    assert set(order[2:4]) == {0, 1}
    assert order[4:] == [4, 5]


def test_ties_are_ranked_by_number_and_no_trials_give_an_empty_ranking() -> None:
    assert rank_trials({3: (0.5, 1e6), 1: (0.5, 1e6)}, OBJECTIVES) == [1, 3]
    assert rank_trials({}, OBJECTIVES) == []


def reached(ladder: Ladder, outcomes: dict[int, tuple[float, float]]) -> None:
    for trial, values in outcomes.items():
        ladder.reach(trial, ladder.climb(trial), values)


def test_best_third_of_a_rung_is_promoted_once_three_have_reached_it() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {0: (0.5, 1e6), 1: (0.6, 1e6)})
    assert ladder.promotion() is None  # a third of two is none
    reached(ladder, {2: (0.4, 1e6)})
    assert ladder.promotion() == 1
    assert ladder.climb(1) == 3
    assert ladder.promotion() is None  # it still trains towards its rung
    reached(ladder, {3: (0.7, 1e6), 4: (0.1, 1e6), 5: (0.2, 1e6)})
    assert ladder.promotion() == 3  # two of six, and 1 was promoted


def test_highest_rung_comes_first() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {trial: (0.1 * trial, 1e6) for trial in range(9)})
    for _ in range(3):
        trial = ladder.promotion()
        assert trial is not None
        ladder.reach(trial, ladder.climb(trial), (0.1 * trial, 1e6))
    assert ladder.promotion() == 8  # from rung 3, although no trial can be promoted from rung 1
    assert ladder.climb(8) == 9


def test_without_new_trials_shares_are_rounded_up_at_rungs_that_no_trial_can_reach() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {0: (0.5, 1e6), 1: (0.6, 1e6)})
    ladder.climb(2)
    assert ladder.promotion(no_new_trials=True) is None  # trial 2 may yet be better
    ladder.leave(2)
    assert ladder.promotion() is None
    assert ladder.promotion(no_new_trials=True) == 1


def test_failed_trial_is_not_promoted_but_counts_in_the_ranking() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {0: (0.9, 1e6), 1: (0.6, 1e6), 2: (0.4, 1e6)})
    ladder.leave(0)
    assert ladder.promotion() is None


def test_interrupted_trial_trains_towards_the_same_rung_again() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    ladder.reach(7, 1, (0.5, 1e6))
    ladder.leave(7)
    ladder.pause_again(7, 1)
    assert ladder.climb(7) == 3


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(2, 4), st.randoms(use_true_random=False))
def test_every_run_has_complete_trainings_and_keeps_the_shares(trials: int, workers: int, eta: int, rng: Any) -> None:
    """Random outcomes and order of completion: at most the top share of a rung is promoted, and at least one is complete."""
    ladder = Ladder(Halving((1, 2, 4), eta), OBJECTIVES)
    truth = {trial: (rng.random(), 10 ** rng.uniform(4, 8)) for trial in range(trials)}
    arrived: dict[int, list[int]] = {1: [], 2: [], 4: []}
    running: list[tuple[int, int]] = []
    fresh = itertools.count()
    started = 0
    while True:
        while len(running) < workers:
            trial = ladder.promotion(no_new_trials=started == trials)
            if trial is None and started < trials:
                trial, started = next(fresh), started + 1
            if trial is None:
                break
            running.append((trial, ladder.climb(trial)))
        if not running:
            break
        trial, rung = running.pop(rng.randrange(len(running)))
        arrived[rung].append(trial)
        ladder.reach(trial, rung, truth[trial])
    assert len(arrived[1]) == len(set(arrived[1])) == trials
    for lower, upper in ((1, 2), (2, 4)):
        assert set(arrived[upper]) <= set(arrived[lower])
        assert arrived[upper]
        top = rank_trials({trial: truth[trial] for trial in arrived[lower]}, OBJECTIVES)
        assert top[0] in arrived[upper]
    assert set(ladder.paused) == set(range(trials)) - set(arrived[4])


def test_values_that_are_not_finite_rank_last() -> None:
    assert rank_trials({0: (np.nan, 1e6), 1: (0.1, 1e6), 2: (0.9, 1e5)}, OBJECTIVES)[-1] == 0
