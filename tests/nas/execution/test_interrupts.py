"""Signals that end a search, also where a library has put its own handler."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

import pytest

from nas.execution.interrupts import Interrupts, TimeBudgetExceeded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_interrupts_and_is_stored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with interrupts.handle_signals():
        interrupts.check()
        signal.signal(number, signal.SIG_IGN)  # as a library may
        interrupts.arm()
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
