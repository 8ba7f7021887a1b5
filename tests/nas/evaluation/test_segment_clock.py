"""The clock of a segment in a worker."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

import pytest

from nas.evaluation.segment_clock import SegmentClock, worker_name
from trainers.training.epoch import Epoch


def test_times_add_up_and_end_follows_start() -> None:
    before = time.time()
    clock = SegmentClock("host/cpu/1", 4)
    with suppress(ValueError), clock.measuring():
        time.sleep(0.02)
        raise ValueError("a measurement that fails takes time, too")
    for train_s in (1.0, 2.0):
        clock.add(Epoch(1, 0.5, 0.5, 0.5, 0.1, train_s, train_s + 0.25))
    started, ended = clock.started(), clock.ended("paused")
    assert started.end is None
    assert before <= ended.start <= time.time()
    assert 0.02 <= ended.end - ended.start < 5
    assert 0.02 <= ended.measure_s < 5
    assert (ended.train_s, ended.validate_s, ended.until, ended.outcome) == (3.0, 0.5, 4, "paused")
    assert started.is_same(ended)


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("cpu", "", "cpu"),
        ("cuda", "", "cuda:0"),
        ("cuda:1", "", "cuda:1"),
        ("cuda", "3", "cuda:3"),
        ("cuda:1", "2, 5", "cuda:5"),
    ],
)
def test_a_worker_is_named_after_the_gpu_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str, name: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert worker_name(device) == f"{socket.gethostname()}/{name}/{os.getpid()}"
