"""Successive halving: rungs, ranks and promotions, worked out by hand; and whole runs of random outcomes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nas import objectives
from nas.driver.rungs.ladder import Ladder
from nas.driver.rungs.promotion import Halving
from nas.driver.rungs.rung import Rung

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


def climb(ladder: Ladder, trial: int) -> int:
    """Start or promote `trial`; the epoch at which it pauses next."""
    target = ladder.next_rung(trial)
    ladder.climb_to(trial, target)
    return target


def reached(ladder: Ladder, outcomes: dict[int, tuple[float, float]]) -> None:
    for trial, values in outcomes.items():
        ladder.reach(trial, climb(ladder, trial), values)


def test_best_third_of_a_rung_is_promoted_once_three_have_reached_it() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {0: (0.5, 1e6), 1: (0.6, 1e6)})
    assert ladder.promotion() is None  # a third of two is none
    reached(ladder, {2: (0.4, 1e6)})
    assert ladder.promotion() == 1
    assert climb(ladder, 1) == 3
    assert ladder.promotion() is None  # it still trains towards its rung
    reached(ladder, {3: (0.7, 1e6), 4: (0.1, 1e6), 5: (0.2, 1e6)})
    assert ladder.promotion() == 3  # two of six, and 1 was promoted


def test_highest_rung_comes_first() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {trial: (0.1 * trial, 1e6) for trial in range(9)})
    for _ in range(3):
        trial = ladder.promotion()
        assert trial is not None
        ladder.reach(trial, climb(ladder, trial), (0.1 * trial, 1e6))
    assert ladder.promotion() == 8  # from rung 3, although no trial can be promoted from rung 1
    assert climb(ladder, 8) == 9


def test_without_new_trials_shares_are_rounded_up_at_rungs_that_no_trial_can_reach() -> None:
    ladder = Ladder(HALVING, OBJECTIVES)
    reached(ladder, {0: (0.5, 1e6), 1: (0.6, 1e6)})
    climb(ladder, 2)
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
    assert climb(ladder, 7) == 3


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
            running.append((trial, climb(ladder, trial)))
        if not running:
            break
        trial, epoch = running.pop(rng.randrange(len(running)))
        arrived[epoch].append(trial)
        ladder.reach(trial, epoch, truth[trial])
    assert len(arrived[1]) == len(set(arrived[1])) == trials
    for lower, upper in ((1, 2), (2, 4)):
        assert set(arrived[upper]) <= set(arrived[lower])
        assert arrived[upper]
        rung = Rung(OBJECTIVES)
        for trial in arrived[lower]:
            rung.set(trial, truth[trial])
        assert rung.best(1, arrived[lower]) in arrived[upper]
    assert set(ladder.paused) == set(range(trials)) - set(arrived[4])
