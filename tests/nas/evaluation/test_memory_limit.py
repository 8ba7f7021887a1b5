"""A limit on the memory of a worker: what exceeds it fails alone, and its architecture is at fault."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.errors import StudyError
from nas.evaluation import memory_limit
from nas.evaluation.failures import Cause, cause_of
from nas.evaluation.memory_limit import held_bytes, host_memory_bytes, limited_memory, worker_limit

ROOM_BYTES = 300 * 2**20


def test_an_allocation_above_the_limit_fails_and_is_the_architecture_s() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = (held_bytes() or 0) + ROOM_BYTES
    errors: list[BaseException] = []
    with limited_memory(limit):
        for allocate in (
            lambda: torch.empty(2 * ROOM_BYTES, dtype=torch.uint8),
            lambda: np.ones(2 * ROOM_BYTES, np.uint8),
        ):
            with pytest.raises((RuntimeError, MemoryError)) as raised:
                allocate()
            errors.append(raised.value)
        assert torch.ones(1000).sum() == 1000  # the process goes on
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert [cause_of(error, "cpu", limit) for error in errors] == [Cause.ARCHITECTURE] * 2
    assert [cause_of(error, "cpu") for error in errors] == [
        Cause.EITHER
    ] * 2  # without a limit others may have the memory


def test_where_the_machine_refuses_memory_the_size_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "overcommit").write_text("2\n")
    monkeypatch.setattr(memory_limit, "OVERCOMMIT", tmp_path / "overcommit")
    held = held_bytes() or 0
    assert cause_of(MemoryError(), "cpu", held) is Cause.ARCHITECTURE
    assert cause_of(MemoryError(), "cpu", 100 * held) is Cause.EITHER


def test_the_limit_of_a_worker() -> None:
    assert worker_limit(None, "cuda:1") is None
    assert worker_limit(10**12, "cpu") == 10**12
    assert 0 < (worker_limit(None, "cpu") or 0) < host_memory_bytes()
    with pytest.raises(
        StudyError, match=r"resources\.memory_per_trial: must be above the \d\.\d\d GB .*, found 0\.00 GB"
    ):
        worker_limit(1000, "cpu")
