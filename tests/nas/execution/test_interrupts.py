"""Signals that end a search, also where a library has put its own handler."""

from __future__ import annotations

import os
import signal

import pytest

from nas.execution.interrupts import Interrupts


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
