"""Pools of warm processes on this machine, which end with the process that started them, however that ends."""

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
def pool(count: int, initializer: Callable[..., None], *arguments: Any) -> Iterator[Callable[..., Future[Any]]]:
    """Within this block, a function that submits a call to the next free one of `count` processes; they end with the block, at
    once.

    Call from the main thread.

    Args:
        count: of processes.
        initializer: is called in each process before anything else.
        *arguments: of `initializer`.
    """
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, CONTEXT, _initialize, (initializer, *arguments))

    def submit(function: Callable[..., Any], *inputs: Any) -> Future[Any]:
        with block_sigint():
            return executor.submit(function, *inputs)

    try:
        yield submit
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # nothing is lost: what is finished has been returned
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def block_sigint() -> Iterator[None]:
    """Processes that are started within this block ignore Ctrl-C, which reaches every process of a terminal.

    They inherit that it is blocked; the process that starts them has to end them, and handles the signal after the block. Some
    other thread gets a signal that is blocked in this one, and a process that is half started would end with a traceback.
    """
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """Have this process end when the one that started it does: a parent that is killed cannot end it."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _initialize(initializer: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    initializer(*arguments)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
