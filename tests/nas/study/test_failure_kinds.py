"""The kinds of failures: recorded reasons of trials, as libraries and executors word them."""

from __future__ import annotations

import pytest

from nas.study.outcomes.failure_kinds import KINDS, MAX_KIND_LENGTH, kind_of, short_reason


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB (see trials/00001/error.txt)",
            "out of GPU memory",
        ),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't", "out of memory"),
        ("out of memory: the worker died, killed by the kernel (signal 9)", "out of memory"),
        ("TrainingError: epoch 1, step 3: the loss is not finite, found nan", "loss not finite"),
        ("an objective is missing or not finite: {'accuracy': nan}", "an objective missing or not finite"),
        ("the worker died: segmentation fault (signal 11), in a/b.py, line 3 in forward", "the worker crashed"),
        ("the worker died (exit code 3)", "the worker ended itself"),
        ("the worker died: killed (signal 9)", "the worker died, possibly out of memory"),
        ("the worker died", "the worker died, possibly out of memory"),
        ("no progress for 0:30:00, in a/b.py, line 3 in forward", "no progress"),
        ("lost 4 times without progress: node 10.0.0.3 was lost", "lost with its node"),
        ("RuntimeError: CUDA error: device-side assert triggered", "device-side assert"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "CUDA error"),
        (
            "ValueError: cannot reshape 16 into 3x5 (see trials/00007/error.txt)",
            "ValueError: cannot reshape N into NxN",
        ),
    ],
)
def test_kinds(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


def test_a_reason_without_a_kind_is_shown_as_it_is_but_not_at_any_length() -> None:
    assert short_reason("ValueError: bad width 7 (see trials/00001/error.txt)") == "ValueError: bad width 7"
    assert len(short_reason("ValueError: " + "x" * 1000)) == MAX_KIND_LENGTH
    assert short_reason(None) == short_reason("") == "no reason recorded"


def test_rows_of_one_name_are_together_or_differ_in_their_cause() -> None:
    rows = [(kind.name, kind.cause) for kind in KINDS]
    assert len(set(rows)) == len(rows)
