"""Which worker gets which task, in the form in which Ray Tune keeps idle workers (`ray.tune.utils.object_cache._ObjectCache`).

Tune keeps at most as many idle workers as trials wait for one, and gives an idle worker to any waiting trial, also to one whose
own worker is just starting, which it then kills. With many workers and short tasks a new worker, on a node that has joined or
instead of one that died, would never be started to its end. So each worker has a slot, each trial asks for a slot, and an idle
worker waits for its next task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

MAX_IDLE_S = 60.0
"""A worker without a task is released after this time, so that its node may be."""


class WorkerSlots:
    """The idle workers, by slot. Tune calls the methods but the first four; `key.slot` is the number of a slot.

    Args:
        busy: the slots that have a task.
    """

    total_max_objects = 0
    """The number of idle workers that Tune expects to need; 0 lets it release all when the search is over."""

    def __init__(self, busy: Callable[[], Collection[int]] = tuple) -> None:
        self.busy = busy
        self.limit = 1  # number of workers that there is room for
        self._idle: dict[int, tuple[Any, float]] = {}  # slot -> (worker, time since which it is idle)
        self._discarded: set[int] = set()
        self.devices: dict[int, str | None] = {}
        """Slot -> the device of its worker, once that has run a task."""

    def choices(self) -> list[int]:
        """The slots for the next task, the first that has one: an idle worker of each device, then a new worker."""
        busy = self.busy()
        by_device: dict[str | None, int] = {}
        for slot in sorted(slot for slot in self._idle if slot not in busy):
            by_device.setdefault(self.devices.get(slot), slot)
        taken = self._idle.keys() | set(busy)
        has_room = not by_device or (len(taken) < self.limit and by_device.keys() != {None})
        new = [next(slot for slot in range(len(taken) + 1) if slot not in taken)] if has_room else []
        return [*by_device.values(), *new]

    def discard(self, slot: int) -> None:
        """Do not keep the worker of `slot` when its task has ended: it is broken."""
        self._discarded.add(slot)

    def learn(self, slot: int, device: str | None) -> None:
        """The worker of `slot` is on `device`."""
        self.devices[slot] = device

    def forget(self, slot: int) -> None:
        """The worker of `slot` has died."""
        self.devices.pop(slot, None)

    @property
    def num_cached_objects(self) -> int:
        """The number of idle workers."""
        return len(self._idle)

    def increase_max(self, key: Any, by: int = 1) -> None:
        """Do nothing: the number of slots is the limit."""

    def decrease_max(self, key: Any, by: int = 1) -> None:
        """Do nothing."""

    def has_cached_object(self, key: Any) -> bool:
        """True if the slot has an idle worker, or must take that of another slot: there is no room for its own any more."""
        return key.slot in self._idle or (bool(self._idle) and len(self._idle.keys() | set(self.busy())) > self.limit)

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep the worker `obj` for its slot; False: it is to be ended."""
        if key.slot in self._discarded:
            self._discarded.discard(key.slot)
            self.forget(key.slot)
            return False
        self._idle[key.slot] = (obj, time.monotonic())
        return True

    def pop_cached_object(self, key: Any) -> Any:
        """Take the idle worker of the slot, or of another one."""
        slot = key.slot if key.slot in self._idle else min(self._idle)
        self.devices[key.slot] = self.devices.pop(slot, None)
        return self._idle.pop(slot)[0]

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        """Take the workers that are to be ended: all, or those that were idle for long."""
        now = time.monotonic()
        for slot, (worker, since_s) in list(self._idle.items()):
            if force_all or now - since_s > MAX_IDLE_S:
                del self._idle[slot]
                self.forget(slot)
                yield worker
