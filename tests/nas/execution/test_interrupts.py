"""Signals that end a search."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from nas.execution.interrupts import Interrupts, TimeBudgetExceeded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_interrupts_and_is_stored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with interrupts.handle_signals():
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(number) is before


def test_the_end_of_a_time_budget_is_raised_at_each_check_after_it() -> None:
    interrupts = Interrupts(timedelta(seconds=0.05))
    interrupts.check()
    time.sleep(0.06)
    for _ in range(2):
        with pytest.raises(TimeBudgetExceeded):
            interrupts.check()
    interrupts.caught = True
    with pytest.raises(KeyboardInterrupt):  # Ctrl-C is stronger
        interrupts.check()


def test_a_first_signal_asks_for_a_stop_and_a_second_one_ends_at_once() -> None:
    interrupts, requests = Interrupts(), []

    def work() -> None:
        with interrupts.handle_signals(), interrupts.gently(lambda: requests.append(1)):
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupts.is_stopping
            for _ in range(3):
                interrupts.check()
            assert requests == [1]
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the second signal must end the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not interrupts.is_stopping


@pytest.mark.parametrize("is_in_time", [True, False])
def test_a_stop_ends_with_the_block_or_when_patience_does(is_in_time: bool) -> None:
    interrupts = Interrupts(timedelta(seconds=0.01), patience_s=0.05)
    time.sleep(0.02)

    def work() -> None:
        with interrupts.gently(lambda: None):
            interrupts.check()
            assert interrupts.is_stopping
            if not is_in_time:
                time.sleep(0.1)
                interrupts.check()
                pytest.fail("patience must end")

    with pytest.raises(TimeBudgetExceeded):
        work()


def test_a_terminal_that_is_closed_may_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with Interrupts().handle_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_search_in_another_thread_leaves_the_signals_alone() -> None:
    def handler_within() -> object:
        with Interrupts().handle_signals():
            return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(handler_within).result() == before
