"""Processes on this machine, which end when the process that started them ends, even if it is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("spawn")
"""Processes are spawned: a forked process would inherit locks held by the threads of torch and BLAS."""

END_PATIENCE_S = 2.0
"""A process that does not end by itself within this time after SIGTERM is killed."""

PR_SET_PDEATHSIG = 1
"""Linux's option of `prctl`: the signal that a process gets when the thread that has started it ends."""


@contextmanager
def pool(count: int, initializer: Callable[..., None], *arguments: Any) -> Iterator[Callable[..., Future[Any]]]:
    """Yield a function that submits a call to the next free one of `count` processes.

    The processes are terminated at the end of the block. Call from the main thread.

    Args:
        count: number of processes.
        initializer: called first in each process.
        *arguments: arguments of `initializer`.
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
            end(process)  # nothing is lost: finished results have been returned
        executor.shutdown(wait=True, cancel_futures=True)


def end(process: BaseProcess) -> None:
    """End `process`, also one that is stopped or does not answer to signals. It is waited for."""
    process.terminate()
    process.join(END_PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()


@contextmanager
def block_sigint(*others: signal.Signals) -> Iterator[None]:
    """Make processes that are started within this block ignore Ctrl-C, which reaches every process of a terminal.

    They also ignore that the terminal is closed (SIGHUP), and `others`.
    They inherit the blocked signals; their parent must end them, and handles the signal after the block. Without this, a
    process that is still starting would end with a traceback. Another thread of this process may still receive the signal,
    so a handler stores it; that only the main thread can set.
    """
    is_main = threading.current_thread() is threading.main_thread()
    resource_tracker.ensure_running()  # which unblocks signals when a first process starts it
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number)) if is_main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """End this process when its parent ends; a parent that is killed cannot end it.

    Linux ends it even within an endless loop in C, provided that its parent has started it from the main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _initialize(initializer: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    initializer(*arguments)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
