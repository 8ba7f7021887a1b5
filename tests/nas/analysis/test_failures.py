"""Failed trials are grouped by reason, with their numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from nas.analysis.failures import failure_summary, group_failures
from nas.analysis.results import Results
from nas.terminal.tables import status_record

REASONS = (
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. (see trials/00001/error.txt)",
    "TrainingError: epoch 1, step 3: the loss is not finite, found nan (see trials/00002/error.txt)",
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB. (see trials/00003/error.txt)",
    "the worker died",
    "ValueError: bad width (see trials/00005/error.txt)",
    "ValueError: bad width (see trials/00006/error.txt)",
)


def failed_study(folder: Path, write: Callable[..., Path], stored_trial: Any, *later: Any) -> Results:
    trials = [stored_trial([0.5, 1e6, 10.0])]
    trials += [stored_trial(None, TrialState.FAIL, {"outcome": "failed", "failure": text}) for text in REASONS]
    return Results.load(write(folder, [*trials, *later]))


def test_failures_are_grouped_by_reason_with_numbers(
    tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any
) -> None:
    results = failed_study(tmp_path / "s", study_writer, stored_trial)
    assert [(group.reason, group.trials) for group in group_failures(results)] == [
        ("out of GPU memory", (1, 3)),
        ("ValueError: bad width", (5, 6)),
        ("loss not finite", (2,)),
        ("the worker died, possibly out of memory", (4,)),
    ]
    assert failure_summary(results) == (
        "6 trials failed: 2 x out of GPU memory (trials 1, 3), 2 x ValueError: bad width (trials 5, 6),"
        " 1 x loss not finite (trial 2), 1 x the worker died, possibly out of memory (trial 4)"
    )
    assert status_record(results)["failures"][0] == {"reason": "out of GPU memory", "count": 2, "trials": [1, 3]}


def test_failures_that_are_repeated_are_left_out(
    tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any
) -> None:
    repeats = [stored_trial([0.5, 1e6, 10.0], None, {"retried_from": number}) for number in (1, 2, 4)]
    repeats.append(
        stored_trial(
            None, TrialState.FAIL, {"outcome": "failed", "failure": "ValueError: bad width", "retried_from": 5}
        )
    )
    results = failed_study(tmp_path / "s", study_writer, stored_trial, *repeats)
    assert [(group.reason, group.trials) for group in group_failures(results)] == [
        ("ValueError: bad width", (6, 10)),
        ("out of GPU memory", (3,)),
    ]
    assert results.counts["failed"] == 7  # the history


def test_a_study_without_failures_has_no_line(
    tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any
) -> None:
    results = Results.load(study_writer(tmp_path / "s", [stored_trial([0.5, 1e6, 10.0])]))
    assert failure_summary(results) is None
    assert status_record(results)["failures"] == []


def test_many_numbers_are_cut(tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any) -> None:
    trials = [stored_trial(None, TrialState.FAIL, {"outcome": "failed", "failure": "MemoryError"}) for _ in range(12)]
    results = Results.load(study_writer(tmp_path / "s", trials))
    text = "12 trials failed: 12 x out of memory (trials 0, 1, 2, 3, 4, 5, 6, 7 and 4 more)"
    assert failure_summary(results) == text
