"""Threads for calls that may take long: the end of the server does not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class DaemonExecutor(Executor):
    """Runs calls in daemon threads. Python's own thread pools are joined at exit, so that Ctrl-C would wait for a long read.

    Args:
        name: of the threads.
        threads: their number; they start with the first call.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        self._is_started = False

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

    def _work(self) -> None:
        while True:
            call: Any = self._calls.get()
            call()
            del call  # it holds what was returned
