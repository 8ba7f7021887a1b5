"""The threads for calls that may take long."""

from __future__ import annotations

import threading

import pytest

from nas.dashboard.threads import DaemonExecutor


def test_calls_give_results_and_errors_and_the_threads_end_with_the_executor() -> None:
    executor = DaemonExecutor("test", 2)
    running: list[threading.Thread] = list(executor.map(lambda _: threading.current_thread(), range(8)))
    assert {thread.name for thread in running} <= {"test-0", "test-1"}
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 // 0).result()
    del executor
    for thread in running:
        thread.join(timeout=60)
        assert not thread.is_alive()
