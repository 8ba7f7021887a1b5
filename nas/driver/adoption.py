"""Which trials a driver may take from others: interrupted ones, paused ones to promote, and trained ones to measure."""

from __future__ import annotations

import logging

from nas.driver.state import SearchState
from nas.study.database.trial_store import Transaction

logger = logging.getLogger(__name__)


def adopt(state: SearchState) -> int | None:
    """Adopt a trial that its driver has left running, or whose lease has expired; returns its number, None if there is none.

    Raises:
        StorageError: the storage cannot be read or written.
    """
    store, interrupted = state.store, _interrupted(state)
    own = next((number for number in interrupted if state.unfinished[number] == store.driver), None)

    def take(transaction: Transaction) -> int | None:
        state.update(transaction.read())
        transaction.look()
        number = next(iter(_interrupted(state)), None)
        if number is not None:
            transaction.take(number)
        return number

    number = own if own is not None or not interrupted else store.transact(take)
    if number is None:
        return None
    if own is None:
        logger.info("trial %d is adopted from %s", number, state.unfinished[number])
    else:
        logger.info("trial %d: this driver has started it before, and continues it", number)
    if state.ladder is not None:
        state.ladder.leave(number)
        reached = state.last_rungs.get(number)  # None: this driver has started it, and could not admit it
        if reached:
            state.ladder.pause_again(number, reached)
    state.unfinished[number] = store.driver
    return number


def _interrupted(state: SearchState) -> list[int]:
    """The trials that this driver may adopt: first those whose workers were never lost, then by their numbers."""
    paused = {} if state.ladder is None else state.ladder.paused
    numbers = [
        number
        for number, driver in state.unfinished.items()
        if number not in state.open
        and number not in paused
        and number not in state.unmeasured
        and state.store.may_take(number, driver)
    ]
    return sorted(numbers, key=lambda number: (state.loss_counts.get(number, 0), number))


def may_promote(state: SearchState, number: int) -> bool:
    """True if this driver may continue the paused trial `number`: its checkpoint is here, or its driver has ended."""
    if number in state.open or not state.store.is_shared or state.has_checkpoint(number):
        return True
    return state.store.may_take(number, state.unfinished.get(number))


def measurable(state: SearchState) -> list[int]:
    """The trials that wait for their measurement and that this driver may take, by their numbers."""
    waiting = state.unmeasured - state.open.keys()
    return sorted(number for number in waiting if state.store.may_take(number, state.unfinished.get(number)))


def others_running(state: SearchState) -> set[str | None]:
    """The other drivers that run trials, as far as this one knows; None for trials that their driver has released."""
    paused = {} if state.ladder is None else state.ladder.paused
    return {driver for number, driver in state.unfinished.items() if number not in state.open and number not in paused}
