"""Threads for calls that may take long: the end of the server does not wait for them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeAlias, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Calls: TypeAlias = "SimpleQueue[Callable[[], None] | None]"


class DaemonExecutor(Executor):
    """Runs calls in daemon threads. Python's own thread pools are joined at exit, so that Ctrl-C would wait for a long read.

    The threads end with the executor, when nothing refers to it any more.

    Args:
        name: of the threads.
        threads: their number; they start with the first call.
    """

    def __init__(self, name: str, threads: int) -> None:
        calls: Calls = SimpleQueue()
        self._calls = calls
        self._threads = [
            threading.Thread(target=_work, args=(calls,), name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        self._is_started = False
        weakref.finalize(self, _end, calls, threads)

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Run `fn` in one of the threads."""
        future: Future[Result] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        if not self._is_started:
            self._is_started = True
            for thread in self._threads:
                thread.start()
        self._calls.put(call)
        return future


def _work(calls: Calls) -> None:
    """Run `calls` until one is None. The thread refers to them alone, so that it does not keep the executor."""
    while (call := calls.get()) is not None:
        call()
        del call  # it holds what was returned


def _end(calls: Calls, threads: int) -> None:
    for _ in range(threads):
        calls.put(None)
