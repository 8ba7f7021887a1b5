"""Warm processes of this machine, which end with the one that started them, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

CONTEXT = multiprocessing.get_context("spawn")
"""How processes are started: a fork would inherit the locks of the threads of torch and BLAS."""


@contextmanager
def pool(count: int, begin: Callable[..., None], *arguments: Any) -> Iterator[Callable[..., Future[Any]]]:
    """A function that hands a call to the next free one of `count` processes, which end with the block, at once.

    Call from the main thread.

    Args:
        count: of processes.
        begin: is called in each process before anything else.
        *arguments: of `begin`.
    """
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, CONTEXT, _begin, (begin, *arguments))

    def submit(work: Callable[..., Any], *words: Any) -> Future[Any]:
        with deaf():
            return executor.submit(work, *words)

    try:
        yield submit
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # nothing is lost: what is finished has been given out
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def deaf() -> Iterator[None]:
    """Processes that are started within this block do not hear Ctrl-C, which reaches every process of a terminal.

    They inherit that it is blocked; the one that starts them has to end them. It hears it after the block: some other thread
    gets what is blocked in this one, and a process that is half started would end with a traceback.
    """
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """Have this process end when the one that started it does: a parent that is killed cannot see to it."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _begin(begin: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    begin(*arguments)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
